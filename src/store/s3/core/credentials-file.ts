/** Keys as an S3 server knows them. */
export interface S3KeyText {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

/**
 * Reads one profile of a credentials file as the AWS tools write it: sections `[profile]`, lines `name = value`.
 * Undefined when the profile is not there or lacks a key.
 */
export function readCredentialsFile(text: string, profile: string): S3KeyText | undefined {
  const values = new Map<string, string>()
  let section = ''
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*(?:profile\s+)?([^\]]+?)\s*\]/.exec(line)
    if (header !== null) section = header[1] ?? ''
    const entry = /^\s*([A-Za-z0-9_]+)\s*=\s*(.*?)\s*$/.exec(line)
    if (section === profile && entry !== null) values.set((entry[1] ?? '').toLowerCase(), entry[2] ?? '')
  }
  const accessKeyId = values.get('aws_access_key_id')
  const secretAccessKey = values.get('aws_secret_access_key')
  if (!accessKeyId || !secretAccessKey) return undefined
  return { accessKeyId, secretAccessKey, sessionToken: values.get('aws_session_token') }
}
