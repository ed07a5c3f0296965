import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { launch } from './evenkeel.ts';

/** TINY_BERT — an encoder that trains in milliseconds. */
export const TINY_BERT = ['--device', 'wasm', '--depth', '1', '--dim', '16', '--num-heads', '2', '--context', '16', '--batch-size', '4', '--vocab-size', '100'] as const;

/** labelled — rows of sentences that are about a cat (1) or not (0), between tabs. */
export function labelled(count: number): string {
  const [who, does, what] = [['the cat', 'a dog', 'my cat', 'nobody'], ['sees', 'hides', 'paints'], ['the moon', 'a river', 'seven boats']];
  return Array.from({ length: count }, (_, i) => {
    const text = `${who[(i * 7 + (i >> 2)) % 4]} ${does[(i * 5) % 3]} ${what[(i >> 1) % 3]}.`;
    return `${text}\t${Number(text.includes('cat'))}\n`;
  }).join('');
}

/** killAfter — starts a run and kills it once its metrics have so many lines. */
export async function killAfter(args: readonly string[], directory: string, lines: number): Promise<NodeJS.Signals | null> {
  const { child, outcome } = launch(args);
  const metrics = `${directory}/metrics.jsonl`;
  while ((existsSync(metrics) ? readFileSync(metrics, 'utf8').split('\n').length : 0) < lines && child.exitCode === null) await sleep(2);
  child.kill('SIGKILL');
  return (await outcome).signal;
}
