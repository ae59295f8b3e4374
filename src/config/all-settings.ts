import { z } from 'zod'
import { accessSettings } from './access.ts'
import { accountingSettings } from './accounting.ts'
import { cacheSettings } from './caches.ts'
import { fleetSettings } from './fleet.ts'
import { databaseSettings } from './database.ts'
import { imageSettings } from './images.ts'
import { layerSettings } from './layers.ts'
import { nixSettings } from './nix.ts'
import { packageSettings } from './packages.ts'
import { programSettings } from './program.ts'
import { setSettings } from './sets.ts'
import { serverSettings } from './server.ts'
import { sharingSettings } from './sharing.ts'
import { storageSettings } from './storage.ts'
import { tracingSettings } from './tracing.ts'
import { upkeepSettings } from './upkeep.ts'

/** All settings, grouped as in docs/configuration.md. */
export const settingGroups = {
  Server: serverSettings,
  Access: accessSettings,
  'Quotas and the audit log': accountingSettings,
  Packages: packageSettings,
  'Several package sets': setSettings,
  Images: imageSettings,
  'Builds and Nix': nixSettings,
  'Binary caches': cacheSettings,
  Layers: layerSettings,
  Storage: storageSettings,
  Database: databaseSettings,
  'Front ends and workers': fleetSettings,
  'Shared binary cache': sharingSettings,
  Cleanup: upkeepSettings,
  Traces: tracingSettings,
  Program: programSettings,
}

/** Every setting with its type, default and meaning; docs/configuration.md is generated from it. */
export const schema = z.object({
  ...serverSettings,
  ...accessSettings,
  ...accountingSettings,
  ...packageSettings,
  ...setSettings,
  ...imageSettings,
  ...nixSettings,
  ...cacheSettings,
  ...layerSettings,
  ...storageSettings,
  ...databaseSettings,
  ...fleetSettings,
  ...sharingSettings,
  ...upkeepSettings,
  ...tracingSettings,
  ...programSettings,
})
