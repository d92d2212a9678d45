import { after, before, describe } from 'node:test'
import { apacheMissing, startApache, type ApacheServer } from '../support/servers/apache.ts'
import { nextcloudUpload } from './nextcloud-upload.ts'
import { webDavContract } from './webdav-contract.ts'
import { webDavFaults } from './webdav-faults.ts'

describe('Apache mod_dav', { skip: apacheMissing }, () => {
  let apache: ApacheServer
  before(async () => {
    apache = await startApache()
  })
  after(() => apache[Symbol.asyncDispose]())
  webDavContract('Apache', () => apache)
  webDavFaults(() => apache)
  nextcloudUpload(() => apache)
})
