import { useDevice } from '@evenkeel/core-tensor';
import { wasm, createWasmBackend } from '@evenkeel/wasm-kernels';
import * as tf from '@tensorflow/tfjs-core';
for (const options of [{ threads: 1 }, { threads: 2 }, { threads: 2, simd: 'plain' as const }]) {
  const d = await useDevice('auto', [wasm(options)]);
  console.log(JSON.stringify(d));
  const be = tf.backend() as any;
  let worst = 0;
  for (const [m, n, k] of [[1,1,1],[3,65,130],[65,3,1],[130,130,300],[7,9,513],[96,16,256]] as const)
    for (const ta of [false, true]) for (const tb of [false, true]) {
      const A = Float32Array.from({length: m*k}, () => Math.random()*2-1), B = Float32Array.from({length: k*n}, () => Math.random()*2-1);
      const r = tf.tidy(() => tf.matMul(tf.tensor(A, ta ? [k,m] : [m,k]), tf.tensor(B, tb ? [n,k] : [k,n]), ta, tb));
      const v = await r.data(); r.dispose();
      for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) {
        let s = 0; for (let l = 0; l < k; l++) s += A[ta ? l*m+i : i*k+l]! * B[tb ? j*k+l : l*n+j]!;
        worst = Math.max(worst, Math.abs(s - v[i*n+j]!));
      }
    }
  console.log('worst', worst, tf.memory());
  for (const n of [512, 1024]) {
    const a = tf.randomUniform([n, n]), b = tf.randomUniform([n, n]);
    const times: number[] = [];
    for (let i = 0; i < 20; i++) { const t = performance.now(); tf.matMul(a, b).dispose(); times.push(performance.now() - t); }
    times.sort((x, y) => x - y);
    console.log(n, (2*n**3/times[10]!/1e6).toFixed(1), 'GF median', (2*n**3/times[0]!/1e6).toFixed(1), 'best');
    a.dispose(); b.dispose();
  }
  const N = 20000; let t = performance.now();
  for (let i = 0; i < N; i++) be.run('gelu', 2, 0, 0, 0, 0);
  console.log('dispatch us', (performance.now() - t) * 1000 / N);
  const x = tf.ones([4]);
  t = performance.now();
  for (let i = 0; i < N; i++) tf.add(x, x).dispose();
  console.log('tf.add us', (performance.now() - t) * 1000 / N);
}
