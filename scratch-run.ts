import { readFileSync, writeFileSync } from 'node:fs';
import { tensor2d, dispose } from '@tensorflow/tfjs-core';
import { useDevice, uniformValues, foldSeed } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, sgd, chain, clipByGlobalNorm, cosine } from '@evenkeel/optimizers';
import { wasm } from '@evenkeel/wasm-kernels';
import { train } from '@evenkeel/training';
import { monitor } from '@evenkeel/diagnostics';
await useDevice('wasm', [wasm({ threads: 1 })]);
const a = Object.fromEntries(process.argv.slice(2).map((x) => x.split('=')));
const { lr = '1e-3', steps = '200', depth = '3', dim = '48', heads = '4', T = '32', B = '8', placement = 'pre', warmup = '0', every = '10', clip = '1', qk, data = 'text', tied='true' } = a;
const text = readFileSync('/work/shared/data/text/' + (a.file ?? 'tinyshakespeare.txt'), 'utf8').slice(0, 300000);
const chars = [...new Set(text)].sort(); const ids = Int32Array.from(text, (c) => chars.indexOf(c));
const t = +T, b = +B;
const norm = qk ? { qkNorm: (await import('@evenkeel/norms')).qkNorm() } : {};
const model = gpt({ vocabSize: chars.length, contextLength: t, depth: +depth, dim: +dim, numHeads: +heads, placement: placement as any, tiedHead: tied==='true', ...norm });
const params = model.init({ seed: +(a.seed ?? 1) });
const batches = (step: number) => { const u = uniformValues(b, foldSeed(3, step)); const rows = (o: number) => tensor2d(Array.from(u, (x) => { const s = Math.floor(x * (ids.length - t - 1)); return Array.from(ids.subarray(s + o, s + o + t)); }), [b, t], 'int32'); return { inputs: rows(0), targets: rows(1) }; };
const schedule = cosine({ peak: +lr, steps: +steps, warmup: +warmup });
const core = a.opt === 'sgd' ? sgd({ learningRate: schedule, momentum: 0.9 }) : adamw({ learningRate: a.const ? +lr : schedule, weightDecay: 0.1 });
const opt = +clip > 0 ? chain(clipByGlobalNorm(+clip), core) : core;
const log: any[] = []; const losses = new Map<number, number>();
try {
  await train({ params, steps: +steps, seed: 1, optimizer: opt as any, batches, monitor: monitor({ every: +every }),
    loss: (p: any, batch: any, context: any) => model.loss(batch, p, context),
    callbacks: { onStep: (m) => { losses.set(m.step, m.loss); }, onReading: ({ step, values, findings }) => {
      const layers = Object.keys(values).filter((n) => n.endsWith('entropy')).map((n) => Math.min(...values[n]!).toFixed(3));
      const logits = Object.keys(values).filter((n) => n.endsWith('maxLogit')).map((n) => Math.max(...values[n]!).toPrecision(3));
      const grads = Object.entries(values).filter(([n]) => n.endsWith('gradientRms')).map(([n, v]) => [v[0]!, n] as const).sort((x, y) => x[0] - y[0]);
      log.push({ step, loss: losses.get(step), values });
      if (step % (+every * 2) === 0 || step < 3 * +every || findings.length) console.log(step, losses.get(step)!.toFixed(3), 'H', layers.join(' '), 'z', logits.join(' '), 'lse', values['logits.logPartition']!.map((x) => x.toPrecision(3)).join(' '), 'g', grads[0]![0].toExponential(1), grads[0]![1]);
      for (const f of findings) console.log('   >>', f.kind, f.where ?? '', '|', f.message);
    } } });
} catch (e) { console.log(String(e)); }
if (a.out) writeFileSync(a.out, JSON.stringify(log));
process.exit(0);
