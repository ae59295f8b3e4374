import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { Socket } from 'node:net'
import { identityFor, type LookUp, type Question, type SetPolicy } from './evaluate.ts'
import { parseAnswer, type Answered } from './evaluate-answer.ts'
import { answerIn, endOf, lineOfSet, linesOfRequest } from './evaluator-text.ts'
import { evaluatorExpression } from './expressions.ts'
import { watchMemory } from './process-memory.ts'
import { eachLine, printable } from '../text/lines.ts'
import type { RunOptions } from './process.ts'
import { optionsOf } from './restriction.ts'

/** What a process has loaded. */
export type Identity = Partial<SetPolicy> & Pick<LookUp, 'set' | 'system' | 'restriction'>

/**
 * How asking ended: `failed` says that the evaluation did and the process goes on. After all that stand below it is
 * over, and it has ended: `ended` (it died, was killed for its memory, or said what cannot be read), `late`, or nobody waits any more.
 */
export type Asked =
  | { readonly status: 'answered'; readonly answers: readonly Answered[] }
  | { readonly status: 'failed' }
  | { readonly status: 'ended' }
  | { readonly status: 'late' }
  | { readonly status: 'left' }

/** A process of Nix with a package set loaded. */
export type EvaluatorProcess = {
  readonly pid: number
  readonly alive: () => boolean
  /** Looks names up and instantiates packages. One question at a time. `options.environment` is not used. */
  ask(question: Question, options: RunOptions): Promise<Asked>
  /** Comes back when it has ended. */
  end(): Promise<void>
}

const mostOutput = 512 * 1024 * 1024
/** Milliseconds: an answer that nobody waits for any more is worth that much for the process to stay. */
const grace = 1_000
const forceAfter = 2_000

/**
 * Starts `nix repl`, which is fed through its standard input: when this program ends, however it does, so does the
 * input, and with it the process. The set is loaded by the first question.
 * @param home a folder in which there is `nix/repl-history`, from and to which nothing is read and written
 * @returns undefined when it cannot be started
 */
export function startEvaluator(
  identity: Identity,
  home: string,
  environment: RunOptions['environment'],
): EvaluatorProcess | undefined {
  // With this format it says on standard error what `nix-instantiate` says there.
  const args = ['repl', '--log-format', 'raw-with-logs', ...optionsOf(identity, ['nix-command'])]
  const child = spawn('nix', args, {
    env: {
      ...environment,
      XDG_DATA_HOME: home,
      NIX_DATA_HOME: `${home}/nix`, // wins over the other since 2.24
      INPUTRC: '/dev/null', // keys may mean anything there
      TERM: 'dumb',
    },
    stdio: 'pipe',
  })
  child.on('error', () => {}) // it could not be started, or ended: its exit, or the lack of a pid, tells
  const { pid } = child
  if (pid === undefined) return undefined

  let exited = false
  let current: { output(chunk: string): void; line(line: string): void; ended(): void } | undefined
  const exit = new Promise<void>((resolve) => {
    child.on('exit', () => {
      exited = true
      current?.ended()
      resolve()
    })
  })
  child.stdin.on('error', () => {}) // it has ended, which the exit tells
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => current?.output(chunk))
  eachLine(child.stderr, (line) => current?.line(printable(line))).catch(() => child.kill('SIGKILL'))
  // It does not keep this program running: who waits for an answer has a timer.
  child.unref()
  for (const stream of [child.stdin, child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref()
  child.stdin.write(lineOfSet(evaluatorExpression, identityFor(identity)))

  const end = async (): Promise<void> => {
    const force = setTimeout(() => child.kill('SIGKILL'), forceAfter)
    child.stdin.end()
    if (current) child.kill('SIGTERM') // interrupts; with no more input it then ends
    if (!exited) await exit
    clearTimeout(force)
  }

  return {
    pid,
    alive: () => !exited && child.stdin.writable,
    end,
    ask(question, { timeout, memory = Infinity, signal, onLine }) {
      const mark = randomUUID()
      const chunks: string[] = []
      let length = 0
      let tail = ''
      let failing = false
      return new Promise((resolve, reject) => {
        const settle = (take: () => void) => {
          clearTimeout(timer)
          clearTimeout(leaving)
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
            const asked = read(chunks.join(''), mark, question.attributes.length)
            if (asked.status === 'ended') giveUp('ended')
            else settle(() => resolve(asked))
          },
          line(line) {
            // Its own trace and message are not told: a cold evaluation tells them as they should be.
            failing ||= line.startsWith('error')
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
        else child.stdin.write(linesOfRequest(mark, { ...question, guarded: true }))
      })
    },
  }
}

const banner = /^(Welcome to )?Nix \d|^Type :\? for help|^$/

function read(output: string, mark: string, expected: number): Asked {
  try {
    const text = answerIn(output, mark)
    if (text === undefined) return { status: 'failed' }
    const answers = parseAnswer(text)
    return answers.length === expected ? { status: 'answered', answers } : { status: 'ended' }
  } catch {
    return { status: 'ended' } // what cannot be read is not believed; a cold evaluation answers
  }
}
