import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { Socket } from 'node:net'
import { identityFor, type LookUp, type Question, type SetPolicy } from './evaluate.ts'
import { parseAnswer, type RawLookupResult } from './evaluate-answer.ts'
import { answerIn, endOf, lineOfSet, linesOfRequest } from './evaluator-text.ts'
import { evaluatorExpression } from './expressions.ts'
import { watchMemory } from './process-memory.ts'
import { eachLine, printable } from '../text/lines.ts'
import type { RunOptions } from './process.ts'
import { optionsOf } from './restriction.ts'
import { configuredStore, type ScratchStore, type ScratchStores } from './scratch-store.ts'

/** The package set that a process has loaded. */
export type Identity = Partial<SetPolicy> &
  Pick<LookUp, 'set' | 'system' | 'restriction' | 'storeless'> & {
    /** False: import from derivation fails. */
    readonly importFromDerivation?: boolean
  }

/** What a process must have loaded to answer a lookup. */
export const identityOf = (lookUp: LookUp): Identity => {
  const { set, system, restriction, configFile, config = {}, overlays = [], storeless } = lookUp
  return {
    set,
    system,
    restriction,
    config,
    ...(configFile !== undefined && { configFile }),
    overlays,
    ...(storeless !== undefined && { storeless }),
  }
}

/**
 * Why there is no answer. After `failed`, the evaluation failed but the process continues. After the others, the process
 * has ended: `ended` (it died, was killed because of its memory, or printed unreadable output), `late` (it timed out), or
 * the question was cancelled.
 */
type Unanswered = { readonly status: 'failed' | 'ended' | 'late' | 'left' }

/** The result of a question. */
export type EvaluatorReply =
  | { readonly status: 'answered'; readonly answers: readonly RawLookupResult[] }
  | Unanswered

/** The result of a request, as JSON text. */
export type TextReply = { readonly status: 'answered'; readonly text: string } | Unanswered

/** A Nix process that has loaded a package set. */
export type EvaluatorProcess = {
  readonly pid: number
  readonly alive: () => boolean
  /** Looks names up and instantiates packages. One question at a time. `options.environment` is ignored. */
  ask(question: Question, options: RunOptions): Promise<EvaluatorReply>
  /** Makes any request of lookup.nix, in the same way. */
  request(request: object, options: RunOptions): Promise<TextReply>
  /** Ends the process, and resolves once it has ended and its own store, if it has one, is deleted. */
  end(): Promise<void>
}

const mostOutput = 512 * 1024 * 1024
/** Milliseconds to wait for the end of a cancelled question before the process is ended. */
const grace = 1_000
const forceAfter = 2_000

/**
 * Starts `nix repl` with a pipe for its standard input: whenever this program ends, the pipe is closed and the process
 * ends, too. The first question loads the package set. It writes derivations to its store: if it may not write to the Nix
 * store, to a store of its own.
 * @param folders.home a folder with an unreadable `nix/repl-history`, so that no history is kept
 * @returns undefined if it cannot be started
 */
export async function startEvaluator(
  identity: Identity,
  { home, scratch: stores }: { readonly home: string; readonly scratch: Pick<ScratchStores, 'make'> },
  environment: RunOptions['environment'],
): Promise<EvaluatorProcess | undefined> {
  const scratch = identity.storeless ? await stores.make().catch(() => undefined) : none
  if (!scratch) return undefined
  // With this log format, standard error is the same as that of `nix-instantiate`.
  const args = [
    'repl',
    '--log-format',
    'raw-with-logs',
    ...optionsOf(identity, ['nix-command']),
    ...scratch.options.evaluation,
    ...(identity.importFromDerivation === false ? noBuilds : []),
  ]
  const child = spawn('nix', args, {
    env: {
      ...environment,
      XDG_DATA_HOME: home,
      NIX_DATA_HOME: `${home}/nix`, // takes precedence since 2.24
      INPUTRC: '/dev/null', // the user's file may redefine keys
      TERM: 'dumb',
    },
    stdio: 'pipe',
  })
  child.on('error', () => {}) // reported by the exit event, or by the missing pid
  const { pid } = child
  if (pid === undefined) {
    await scratch.remove()
    return undefined
  }

  let exited = false
  let current: { output(chunk: string): void; line(line: string): void; ended(): void } | undefined
  const exit = new Promise<void>((resolve) => {
    child.on('exit', () => {
      exited = true
      current?.ended()
      void scratch.remove().then(resolve)
    })
  })
  child.stdin.on('error', () => {}) // reported by the exit event
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => current?.output(chunk))
  eachLine(child.stderr, (line) => current?.line(printable(line))).catch(() => child.kill('SIGKILL'))
  // It does not keep this program running: a pending question has a timer.
  child.unref()
  for (const stream of [child.stdin, child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref()
  child.stdin.write(lineOfSet(evaluatorExpression, identityFor(identity)))

  const end = async (): Promise<void> => {
    const force = setTimeout(() => child.kill('SIGKILL'), forceAfter)
    if (!exited) child.ref() // whoever ends it waits for it
    child.stdin.end()
    if (current) child.kill('SIGTERM') // interrupts the evaluation; then the process ends, as its input is closed
    if (!exited) await exit
    clearTimeout(force)
  }

  const request: EvaluatorProcess['request'] = (content, { timeout, memory = Infinity, signal, onLine }) => {
    const mark = randomUUID()
    const chunks: string[] = []
    let length = 0
    let tail = ''
    let failing = false
    let whenFailing: (() => void) | undefined
    let messageTimer: NodeJS.Timeout | undefined
    return new Promise((resolve, reject) => {
      const settle = (take: () => void) => {
        clearTimeout(timer)
        clearTimeout(leaving)
        clearTimeout(messageTimer)
        unwatch()
        signal?.removeEventListener('abort', leave)
        current = undefined
        take()
      }
      const giveUp = (status: 'ended' | 'late' | 'left') => {
        const over = end()
        settle(() => void over.then(() => resolve({ status })))
      }
      let leaving: NodeJS.Timeout | undefined
      const leave = () => (leaving = setTimeout(() => giveUp('left'), grace))
      const timer = setTimeout(() => giveUp('late'), timeout)
      const unwatch = watchMemory(pid, memory, () => child.kill('SIGKILL'))
      signal?.addEventListener('abort', leave)
      current = {
        output(chunk) {
          chunks.push(chunk)
          length += chunk.length
          tail = (tail + chunk).slice(-chunk.length - mark.length - 20)
          if (length > mostOutput) return giveUp('ended')
          if (!tail.includes(endOf(mark))) return
          const reply = read(chunks.join(''), mark)
          const done = () => settle(() => resolve(reply))
          if (reply.status === 'ended') giveUp('ended')
          else if (reply.status === 'answered' || failing) done()
          // What it traced until it failed comes through another pipe, and the message after it.
          else [whenFailing, messageTimer] = [done, setTimeout(done, grace)]
        },
        line(line) {
          // Its error message is not used: a cold evaluation reports it properly.
          failing ||= line.startsWith('error')
          if (failing) whenFailing?.()
          if (failing || banner.test(line)) return
          try {
            onLine?.(line)
          } catch (error) {
            void end()
            settle(() => reject(error))
          }
        },
        ended: () => settle(() => resolve({ status: 'ended' })),
      }
      if (exited) current.ended()
      else child.stdin.write(linesOfRequest(mark, content))
    })
  }

  return {
    pid,
    alive: () => !exited && child.stdin.writable,
    end,
    request,
    async ask(question, options) {
      const reply = await request({ ...question, guarded: true }, options)
      if (reply.status !== 'answered') return reply
      try {
        const answers = parseAnswer(reply.text)
        if (answers.length === question.attributes.length) return { status: 'answered', answers }
      } catch {
        // an unreadable answer is discarded; a cold evaluation follows
      }
      await end()
      return { status: 'ended' }
    },
  }
}

const noBuilds = ['--option', 'allow-import-from-derivation', 'false']

const none: ScratchStore = { options: configuredStore, remove: async () => {} }

const banner = /^(Welcome to )?Nix \d|^Type :\? for help|^$/

function read(output: string, mark: string): TextReply {
  try {
    const text = answerIn(output, mark)
    return text === undefined ? { status: 'failed' } : { status: 'answered', text }
  } catch {
    return { status: 'ended' } // unreadable output
  }
}
