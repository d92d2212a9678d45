import { after, before, describe } from 'node:test'
import type { WebDavServer } from '../support/servers/apache.ts'
import { rcloneMissing, startRclone } from '../support/servers/rclone.ts'
import { webDavContract } from './webdav-contract.ts'

describe('rclone serve webdav', { skip: rcloneMissing }, () => {
  let rclone: WebDavServer
  before(async () => {
    rclone = await startRclone()
  })
  after(() => rclone[Symbol.asyncDispose]())
  webDavContract('rclone', () => rclone)
})
