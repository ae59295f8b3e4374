import { describeNix } from './conformance.ts'

describeNix('the Nix of this machine')
