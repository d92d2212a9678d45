import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeGlobalsLine } from './globals-filter.ts'

const present = new Set(['postgres', 'Odd "Role'])

test('roles that are there are left alone, the others are made, tablespaces are left out', () => {
  const verdicts: readonly (readonly [string, string])[] = [
    ['CREATE ROLE postgres;', 'role-exists'],
    [`ALTER ROLE postgres WITH SUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x';`, 'role-exists'],
    [`ALTER ROLE postgres SET work_mem TO '64MB';`, 'role-exists'],
    ['CREATE ROLE "Odd ""Role";', 'role-exists'],
    ['CREATE ROLE postgres2;', 'run'],
    ['CREATE ROLE "postgres;";', 'run'],
    [`ALTER ROLE app WITH LOGIN;`, 'run'],
    ['GRANT app TO postgres GRANTED BY postgres;', 'run'],
    ["CREATE TABLESPACE fast OWNER postgres LOCATION '/srv/fast';", 'tablespace'],
    ['GRANT ALL ON TABLESPACE fast TO app;', 'tablespace'],
    ['SET default_transaction_read_only = off;', 'run'],
    ['-- CREATE ROLE postgres;', 'run'],
  ]
  for (const [line, verdict] of verdicts) assert.equal(judgeGlobalsLine(line, present), verdict, line)
})
