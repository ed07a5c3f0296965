import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { evenkeel, evenkeelJson, launch, metricsOf, scratch, sentences, TINY, type Outcome } from './support/evenkeel.ts';

const files = scratch();
const data = files.write('corpus.txt', sentences());
const SETTINGS = ['--steps', '150', '--dropout', '0.1', '--eval-every', '20', '--checkpoint-every', '10', '--val-fraction', '0.05'];
const train = (out: string) => ['train', 'gpt', '--data', data, ...TINY, ...SETTINGS, '--out', files.at(out)];
const resume = (out: string, ...flags: string[]) => ['train', 'gpt', '--out', files.at(out), '--resume', ...flags];

/** Starts a run and sends a signal once it has done some steps after a checkpoint. */
async function stopEarly(out: string, signal: NodeJS.Signals): Promise<Outcome> {
  const { child, outcome } = launch(train(out));
  const metrics = files.at(`${out}/metrics.jsonl`);
  const steps = (): number => (existsSync(metrics) ? readFileSync(metrics, 'utf8').split('\n').length : 0);
  while (steps() < 25 && child.exitCode === null) await sleep(2);
  child.kill(signal);
  return outcome;
}

describe('evenkeel train gpt --resume', () => {
  let expected: Record<string, unknown>;
  beforeAll(async () => {
    expected = await evenkeelJson(train('whole'));
  });

  /** The resumed run must equal the one that was never stopped, in everything but time. */
  function expectSameRun(out: string, result: Record<string, unknown>): void {
    expect(metricsOf(files.at(out))).toEqual(metricsOf(files.at('whole')));
    expect(readFileSync(files.at(`${out}/model.safetensors`)).equals(readFileSync(files.at('whole/model.safetensors')))).toBe(true);
    for (const field of ['steps', 'params', 'trainLoss', 'valLoss']) expect(result[field]).toBe(expected[field]);
  }

  it('train gpt --resume after kill -9 goes on bit for bit, with no other flag and without the text', async () => {
    expect((await stopEarly('killed', 'SIGKILL')).signal).toBe('SIGKILL');
    rmSync(data);
    const result = await evenkeelJson(resume('killed'));
    files.write('corpus.txt', sentences());
    expectSameRun('killed', result);
  });

  it('train gpt stops at Ctrl-C with a checkpoint of that step, says how to go on and ends with 130', async () => {
    const { code, stdout, stderr } = await stopEarly('stopped', 'SIGINT');
    expect(code).toBe(130);
    expect(stdout).toContain('Stopping after this step, with a checkpoint');
    const [, step] = /^stopped after step (\d+) of 150; go on with: pnpm evenkeel train gpt --out \S+ --resume\n$/.exec(stderr) ?? [];
    expect(readdirSync(files.at('stopped/state'))).toContain(`step-${String(step).padStart(8, '0')}.safetensors`);
    expect(readFileSync(files.at('stopped/report.html'), 'utf8')).toContain('interrupted');
    expectSameRun('stopped', await evenkeelJson(resume('stopped')));
  });

  it.each([['SIGTERM', 143], ['SIGHUP', 129]] as const)('train gpt stops at %s with a checkpoint of that step and ends with %d', async (signal, exitCode) => {
    const { code, stderr } = await stopEarly(signal, signal);
    expect(code).toBe(exitCode);
    const step = /^stopped after step (\d+) of 150/.exec(stderr)?.[1];
    expect(readdirSync(files.at(`${signal}/state`))).toContain(`step-${String(step).padStart(8, '0')}.safetensors`);
  });

  it('train gpt --resume of a finished run gives its result again and changes nothing', async () => {
    const before = readFileSync(files.at('whole/metrics.jsonl'));
    const again = await evenkeelJson(resume('whole'));
    expect(again).toMatchObject({ trainLoss: expected['trainLoss'], valLoss: expected['valLoss'], msPerStep: expected['msPerStep'] });
    expect(readFileSync(files.at('whole/metrics.jsonl')).equals(before)).toBe(true);
  });

  it('train gpt --resume falls back to the checkpoint before a damaged one, and says so', async () => {
    await stopEarly('damaged', 'SIGKILL');
    const newest = readdirSync(files.at('damaged/state')).filter((name) => name.startsWith('step-')).sort().at(-1) as string;
    writeFileSync(files.at(`damaged/state/${newest}`), readFileSync(files.at(`damaged/state/${newest}`)).subarray(0, 3000));
    const { code, stderr } = await evenkeel(resume('damaged', '--json'));
    expect(code).toBe(0);
    expect(stderr).toContain(`skipped state/${newest}, which is damaged: `);
    expect(metricsOf(files.at('damaged'))).toEqual(metricsOf(files.at('whole')));
  });

  it('train gpt --resume names the flags that differ from the run', async () => {
    const { code, stderr } = await evenkeel(resume('whole', '--seed', '2', '--steps', '200', '--depth', '1'));
    expect(code).toBe(2);
    expect(stderr).toBe('error: --resume must keep what decides the run, got --steps 200 (the run has 150), --seed 2 (the run has 1). '
      + 'A cosine schedule depends on the number of steps.\n');
  });

  it('train gpt --resume --steps prolongs a run of constant learning rate as if it had been longer', async () => {
    const constant = ['--schedule', 'constant', '--warmup', '3', '--eval-every', '4', '--checkpoint-every', '4'];
    const run = (out: string, steps: string) => evenkeelJson(['train', 'gpt', '--data', data, ...TINY, ...constant, '--steps', steps, '--out', files.at(out)]);
    await Promise.all([run('short', '8'), run('long', '12')]);
    await evenkeelJson(resume('short', '--steps', '12'));
    expect(metricsOf(files.at('short'))).toEqual(metricsOf(files.at('long')));
  });

  it('train gpt --resume needs a directory with a run in it', async () => {
    const [without, missing] = await Promise.all([evenkeel(['train', '--resume']), evenkeel(resume('nowhere'))]);
    expect(without).toMatchObject({ code: 2, stderr: 'error: --resume needs --out, the directory of the run\n' });
    expect(missing).toMatchObject({ code: 2, stderr: `error: --resume must find a run in --out, got ${files.at('nowhere')}, which has no run.json\n` });
  });
});
