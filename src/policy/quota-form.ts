import { z } from 'zod'
import { size } from '../config/values.ts'
import { whoForm } from './who-form.ts'

const most = 1_000_000
const count = z.int().min(1).max(most).optional()

/** The fields of `[[quota]]`: the limits of each of these clients. */
export const quotaForm = z
  .strictObject({
    who: whoForm,
    requests: count,
    builds: count,
    buildsAtOnce: count,
    bytes: z.union([z.int().min(1), size], 'is neither a number nor a size such as "50GB"').optional(),
  })
  .transform(({ who, ...quota }) => ({ who, quota }))
