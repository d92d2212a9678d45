import { z } from 'zod'
import { configSchema } from './schema.ts'
import { settingFacts, valueFacts } from './setting.ts'
import { unwrap } from './settings.ts'

/** JSON Schema (draft 2020-12) of `holdfast.yaml`, for editors that complete and check while typing. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(configSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      const facts = settingFacts.get(zodSchema)
      if (facts === undefined) return
      const expects = valueFacts.get(unwrap(zodSchema).schema)?.expects
      jsonSchema.description = expects === undefined ? facts.about : `${facts.about} Expects ${expects}.`
    },
  })
}
