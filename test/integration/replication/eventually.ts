import { setTimeout as delay } from 'node:timers/promises'

/** Asks again until the answer is the wanted one; for what a server does by itself and tells nobody. */
export async function eventually<Answer>(
  ask: () => Promise<Answer>,
  wanted: (answer: Answer) => boolean,
  withinMs = 20_000,
): Promise<Answer> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (wanted(answer)) return answer
    if (Date.now() > deadline) throw new Error(`waited ${withinMs} ms, the last answer was ${String(answer)}`)
    await delay(20)
  }
}
