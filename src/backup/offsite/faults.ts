import { defineFaults } from '../../std/fault.ts'

/** What can go wrong with copies of the first repository in other places. */
export const offsiteFaults = defineFaults({
  'offsite-other-repository': {
    exitClass: 'refused',
    meaning:
      'The place of a copy holds another repository than the first of the configuration, or the first is another one than before.',
    hint: 'Give the copy an empty place of its own. If the first repository was made anew, keep the copy: it holds the old backups, and `--repository` restores from it.',
  },
  'offsite-same-place': {
    exitClass: 'refused',
    meaning: 'A copy was configured to be in the same place as the first repository, so that it would be no copy.',
    hint: 'Give the copy a place of its own, on another disk or in another building.',
  },
  'offsite-object-conflict': {
    exitClass: 'integrity',
    meaning: 'The copy holds an object whose content is not that of the first repository. It was left as it is.',
    hint: 'Find out which of the two is good with `holdfast backups --verify --repository NAME`, move the bad one away, and let it be copied again.',
  },
  'offsite-object-cut': {
    exitClass: 'integrity',
    meaning: 'The store of the copy took an object and then had another number of bytes than it was given.',
    hint: 'Do not trust this store before its cause is found; remove the named object from the copy, and it is copied again.',
  },
  'offsite-wal-missing': {
    exitClass: 'integrity',
    meaning: 'A backup was not copied, since the first repository lacks WAL that the backup needs.',
    hint: 'That backup cannot be restored from anywhere; take a new one.',
  },
  'offsite-expiry-running': {
    exitClass: 'busy',
    meaning: 'A backup was not copied, since an expiry in the copy is just removing what the backup shares.',
    hint: 'It is copied as soon as that expiry has come to its end; if it was killed, `holdfast expire --repository NAME` completes it.',
  },
})
