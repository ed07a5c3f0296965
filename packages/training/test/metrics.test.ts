import { memoryStore, readMetrics } from '@evenkeel/training';
import { expect, it } from 'vitest';

const line = '{"kind":"step","step":1,"loss":2.5,"gradNorm":1,"msPerStep":3}\n';

it('readMetrics(store) gives the lines of metrics.jsonl in order, none without the file', async () => {
  const store = memoryStore();
  expect(await readMetrics(store)).toEqual([]);
  await store.writeText('metrics.jsonl', `${line}{"kind":"eval","step":1,"valLoss":2}\n`);
  expect(await readMetrics(store)).toEqual([{ kind: 'step', step: 1, loss: 2.5, gradNorm: 1, msPerStep: 3 }, { kind: 'eval', step: 1, valLoss: 2 }]);
});

it('readMetrics(store) ignores a last line that was cut off, wherever it was cut', async () => {
  const store = memoryStore();
  for (let length = 0; length < line.length; length++) {
    await store.writeText('metrics.jsonl', line + line.slice(0, length));
    expect(await readMetrics(store)).toHaveLength(1);
  }
});

it.each(['not json', '[]', 'null', '{"kind":"step"}', '{"kind":"other","step":1}'])('readMetrics(store) names the line that is no metrics object: %s', async (bad) => {
  const store = memoryStore();
  await store.writeText('metrics.jsonl', `${line}${bad}\n${line}`);
  await expect(readMetrics(store)).rejects.toThrow(`readMetrics: line 2 of metrics.jsonl must be a JSON object with kind and step, got ${JSON.stringify(bad)}`);
});
