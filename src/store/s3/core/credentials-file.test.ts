import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCredentialsFile } from './credentials-file.ts'

const text = `# comment
[default]
aws_access_key_id = AKIDEFAULT
aws_secret_access_key = secret/with+signs=
[profile other]
AWS_ACCESS_KEY_ID=AKIOTHER\r
aws_secret_access_key=s2\r
aws_session_token = token==
[half]
aws_access_key_id = AKIHALF
`

test('a profile is read as the AWS tools write it, and half a profile is none', () => {
  assert.deepEqual(readCredentialsFile(text, 'default'), {
    accessKeyId: 'AKIDEFAULT',
    secretAccessKey: 'secret/with+signs=',
    sessionToken: undefined,
  })
  assert.deepEqual(readCredentialsFile(text, 'other'), {
    accessKeyId: 'AKIOTHER',
    secretAccessKey: 's2',
    sessionToken: 'token==',
  })
  assert.equal(readCredentialsFile(text, 'half'), undefined)
  assert.equal(readCredentialsFile(text, 'absent'), undefined)
})
