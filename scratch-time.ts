import { tensor2d, dispose, tidy, keep } from '@tensorflow/tfjs-core';
import { useDevice, valueAndGrad, randomUniform, unrecorded } from '@evenkeel/core-tensor';
import { gpt } from '@evenkeel/models-gpt';
import { adamw, chain, clipByGlobalNorm, applyUpdates } from '@evenkeel/optimizers';
import { wasm } from '@evenkeel/wasm-kernels';
import { monitor } from '@evenkeel/diagnostics';
const webgpu = process.argv[2] === 'webgpu';
await useDevice(webgpu ? 'webgpu' : 'wasm', [webgpu ? (await import('@evenkeel/webgpu-kernels')).webgpu() : wasm({threads: Number(process.env.T ?? 1)})]);
const model = gpt({ vocabSize: 65, contextLength: 64, depth: 4, dim: 128, numHeads: 4 });
const params = model.init({ seed: 1 });
const opt = chain(clipByGlobalNorm(1), adamw({ learningRate: 1e-3 })); const state = opt.init(params);
const ids = (o: number) => tensor2d(Array.from({ length: 12 }, (_, b) => Array.from({ length: 64 }, (_, t) => (b * 7 + t * t + o) % 65)), [12, 64], 'int32');
const batch = { inputs: ids(0), targets: ids(1) };
type M = ReturnType<typeof monitor>;
async function step(m?: M, noop = false) {
  const t0 = process.cpuUsage();
  const kept: any = tidy(() => {
    const out: any = {};
    const add = (f: () => any) => Object.assign(out, unrecorded(() => ({ ...Object.fromEntries(Object.entries(f() ?? {}).map(([k, t]: any) => [k, keep(t)])) })));
    const observe = m ? (n: string, v: any) => add(() => m.observe(n, v)) : noop ? () => {} : undefined;
    const { value, grads } = valueAndGrad((p) => model.loss(batch, p as any, { train: true, seed: 1, observe }), params);
    const u = opt.update(grads as any, state, params);
    if (m) add(() => m.measure?.({ params, grads: grads as any, updates: u as any }));
    applyUpdates(params, u);
    return { value: keep(value), ...out };
  });
  const vals = await Promise.all(Object.values(kept).map((t: any) => t.data()));
  dispose(kept);
  const u = process.cpuUsage(t0); return (u.user + u.system) / 1000;
}
const off = { entropy: false, logits: false, outputLogits: false, activations: false, parameters: false };
const arms: Record<string, () => Promise<number>> = {
  plain: () => step(), noop: () => step(undefined, true), full: () => step(monitor()),
  entropyLogits: () => step(monitor({ watch: { ...off, entropy: true, logits: true } })),
  outLogits: () => step(monitor({ watch: { ...off, outputLogits: true } })),
  act: () => step(monitor({ watch: { ...off, activations: true } })),
  params: () => step(monitor({ watch: { ...off, parameters: true } })),
};
const times: Record<string, number[]> = {};
for (let i = 0; i < Number(process.argv[3] ?? 25); i++) for (const [k, f] of Object.entries(arms)) (times[k] ??= []).push(await f());
const med = (x: number[]) => [...x].sort((a, b) => a - b)[x.length >> 1]!;
const p10 = (x: number[]) => [...x].sort((a, b) => a - b)[Math.floor(x.length*0.1)]!;
for (const [k, x] of Object.entries(times)) console.log(k.padEnd(14), med(x.slice(3)).toFixed(1), p10(x.slice(3)).toFixed(1), (med(x.slice(3)) / med(times.plain!.slice(3))).toFixed(3), (p10(x.slice(3)) / p10(times.plain!.slice(3))).toFixed(3));
process.exit(0);
