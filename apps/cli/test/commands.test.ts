import { forEachBackend } from '@evenkeel/testing';
import { describe, expect, it } from 'vitest';
import { evenkeel, evenkeelJson } from './support/evenkeel.ts';

describe('evenkeel doctor', () => {
  it('doctor --json shows Node, devices with reasons, WASM features, threads and memory', async () => {
    const result = await evenkeelJson(['doctor']);
    expect(result).toMatchObject({
      command: 'doctor', node: process.version, threads: expect.any(Number) as number,
      memory: { totalBytes: expect.any(Number) as number, freeBytes: expect.any(Number) as number },
      wasm: { simd: true, relaxedSimd: expect.any(Boolean) as boolean },
    });
    const devices = result['devices'] as { name: string; chosen: boolean; available: boolean; reason: string }[];
    expect(devices.map(({ name }) => name)).toEqual(['webgpu', 'wasm', 'cpu']);
    expect(devices.filter(({ chosen }) => chosen).map(({ name }) => name)).toEqual([(result['device'] as { name: string }).name]);
    for (const { reason, available, chosen } of devices) {
      expect(reason).not.toBe('');
      expect(available || !chosen).toBe(true);
    }
  });

  it('doctor for people fits into 80 columns', async () => {
    const { code, stdout } = await evenkeel(['doctor']);
    expect(code).toBe(0);
    for (const part of ['Node', 'CPU', 'Memory', 'WASM', 'Threads', 'Devices', 'webgpu', 'wasm', 'cpu']) expect(stdout).toContain(part);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe('evenkeel bench', () => {
  it('bench gpt-step --json gives median, p10 and p90 of so many steps', async () => {
    const result = await evenkeelJson(['bench', 'gpt-step', '--device', 'wasm', '--steps', '2']);
    expect(result).toMatchObject({ command: 'bench gpt-step', device: 'wasm', steps: 2 });
    const { median, p10, p90 } = result['msPerStep'] as Record<string, number>;
    expect(p10).toBeGreaterThan(0);
    expect(median).toBeGreaterThanOrEqual(p10 as number);
    expect(p90).toBeGreaterThanOrEqual(median as number);
  });

  it('bench gpt-step --profile --json gives the time of each kernel per step', async () => {
    const { kernels, msPerStep } = await evenkeelJson(['bench', 'gpt-step', '--device', 'wasm', '--steps', '2', '--profile']) as {
      kernels: { name: string; ms: number; calls: number }[]; msPerStep: { p90: number };
    };
    expect(kernels.find(({ name }) => name === 'attention')).toMatchObject({ calls: 4 });
    expect(kernels.every(({ ms }) => ms >= 0 && ms < msPerStep.p90 * 2)).toBe(true);
    expect(kernels.map(({ ms }) => ms)).toEqual(kernels.map(({ ms }) => ms).toSorted((a, b) => b - a));
  });

  it('bench gpt-step --profile refuses a device that it cannot time', async () => {
    expect(await evenkeel(['bench', 'gpt-step', '--device', 'cpu', '--profile'])).toMatchObject({
      code: 1, stderr: expect.stringContaining('--profile must be used with the wasm or the webgpu device, got cpu') as string,
    });
  });

  forEachBackend(['evenkeel-webgpu'], () => {
    it('bench gpt-step --profile --json gives the time of each program on the GPU, in 80 columns for people', async () => {
      const { code, stdout, stderr } = await evenkeel(['bench', 'gpt-step', '--device', 'webgpu', '--steps', '1', '--profile', '--json']);
      expect(code).toBe(0);
      const { kernels, msPerStep } = JSON.parse(stdout.split('\n').at(-2) ?? '') as { kernels: { name: string; ms: number; calls: number }[]; msPerStep: { median: number } };
      const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
      expect(total).toBeGreaterThan(0.2 * msPerStep.median);
      expect(total).toBeLessThan(1.2 * msPerStep.median);
      expect(kernels.every(({ calls }) => calls >= 1)).toBe(true);
      const lines = stderr.split('\n').filter((line) => !line.startsWith('Warning: '));
      expect(lines.filter((line) => line.startsWith(`  ${kernels[0]?.name}`))).toHaveLength(1);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    }, 120_000);
  });

  it('bench matmul --json gives GFLOP/s per size', async () => {
    const { sizes } = await evenkeelJson(['bench', 'matmul', '--device', 'wasm', '--sizes', '65,130', '--threads', '1']);
    expect(sizes).toEqual([65, 130].map((size) => ({ size, gflops: expect.any(Number) as number, ms: expect.any(Number) as number })));
    for (const { size, gflops, ms } of sizes as { size: number; gflops: number; ms: number }[]) {
      expect(gflops / ((2 * size ** 3) / ms / 1e6)).toBeCloseTo(1, 1);
    }
  });
});

describe('evenkeel repro', () => {
  it('repro list, and repro alone, say what can be measured, in 80 columns', async () => {
    const [listed, alone] = await Promise.all([evenkeel(['repro', 'list']), evenkeel(['repro'])]);
    expect(alone).toEqual(listed);
    expect(listed).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^peri-ln {2,}Peri-LN: [^]*\(arXiv:2502\.02732\)/m) as string });
    expect(Math.max(...listed.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('repro list --json has title, arXiv id and claim of each', async () => {
    const { papers } = await evenkeelJson(['repro', 'list']) as { papers: Record<string, string>[] };
    expect(papers).toContainEqual({ slug: 'peri-ln', title: expect.stringContaining('Peri-LN') as string, arxiv: '2502.02732', claim: expect.stringMatching(/\.$/) as string });
  });

  it('repro refuses a name that it does not know, and says which there are', async () => {
    expect(await evenkeel(['repro', 'peri'])).toMatchObject({ code: 2, stderr: expect.stringMatching(/^error: repro takes list, all or one of .*peri-ln.*, got peri\n$/) as string });
  });
});

describe('evenkeel --help', () => {
  it.each(['--help', 'train --help', 'sweep --help', 'eval --help', 'generate --help', 'bench gpt-step --help', 'bench matmul --help', 'repro --help', 'doctor --help'])(
    '%s fits into 80 columns and ends with 0', async (args) => {
      const { code, stdout, stderr } = await evenkeel(args.split(' '));
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('Usage: evenkeel');
      expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    });

  it('train --help names every flag of train gpt with its default', async () => {
    const { stdout } = await evenkeel(['train', '--help']);
    expect(stdout).not.toContain('preset');
    const flags = {
      data: '', tokenizer: '"char"', depth: 4, dim: 128, 'num-heads': 4, context: 64, 'batch-size': 12, steps: 2000, 'learning-rate': 0.001, warmup: 100,
      schedule: '"cosine"', 'weight-decay': 0.1, clip: 1, dropout: 0, seed: 1, 'val-fraction': 0.1, 'eval-every': '', 'checkpoint-every': '', out: '', resume: '',
      device: '"auto"', json: '', debug: '', placement: 'pre', norm: 'layer', 'qk-norm': '', 'sigma-reparam': 'none', 'z-loss': 0, 'untied-head': '', optimizer: 'adamw',
      'weight-decay-mode': 'coupled', mup: 0, monitor: 'never',
    };
    const entries = stdout.split(/\n {2}(?=-)/).map((entry) => entry.replace(/\s+/g, ' '));
    for (const [flag, value] of Object.entries(flags)) {
      const entry = entries.find((each) => each.startsWith(`--${flag} `));
      expect(entry, flag).toContain(value === '' ? flag : `(default: ${value}`);
    }
  });

  it('--version is that of the package', async () => {
    expect((await evenkeel(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+/);
  });
});
