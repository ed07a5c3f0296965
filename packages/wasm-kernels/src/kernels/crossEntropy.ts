import { Softmax, util, type TensorInfo } from '@tensorflow/tfjs-core';
import { checkIndices, floats, integers, onCpu, rowChunks, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/crossEntropy` → [loss, lse], `evenkeel/crossEntropyGrad` → dlogits, and tfjs' Softmax over the last axis. */
export const crossEntropyKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/crossEntropy', run: crossEntropy },
  { name: 'evenkeel/crossEntropyGrad', run: crossEntropyGrad },
  { name: Softmax, run: softmax },
];

function crossEntropy(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const { logits } = floats(call, 'crossEntropy', 'logits');
  const { targets } = integers(call, 'crossEntropy', 'targets');
  const [rows, classes] = logits.shape as [number, number];
  checkIndices(backend, 'crossEntropy', 'targets', targets, classes, attrs.ignoreIndex as number);
  const [loss, lse] = [backend.allocate([rows]), backend.allocate([rows])];
  const cut = rowChunks(rows, classes);
  backend.run(
    'crossEntropy', cut.chunks, backend.pointer(logits), backend.pointer(targets), backend.pointer(loss), backend.pointer(lse), rows, classes,
    attrs.ignoreIndex as number, attrs.labelSmoothing as number, attrs.zLoss as number, cut.perChunk,
  );
  return [loss, lse];
}

function crossEntropyGrad(call: KernelCall): TensorInfo {
  const { attrs, backend } = call;
  const { logits, lse, dy } = floats(call, 'crossEntropyGrad', 'logits', 'lse', 'dy');
  const { targets } = integers(call, 'crossEntropyGrad', 'targets');
  const [rows, classes] = logits.shape as [number, number];
  checkIndices(backend, 'crossEntropyGrad', 'targets', targets, classes, attrs.ignoreIndex as number);
  const dlogits = backend.allocate(logits.shape);
  const cut = rowChunks(rows, classes);
  backend.run(
    'crossEntropyGrad', cut.chunks, backend.pointer(logits), backend.pointer(targets), backend.pointer(lse), backend.pointer(dy),
    backend.pointer(dlogits), rows, classes, attrs.ignoreIndex as number, attrs.labelSmoothing as number, attrs.zLoss as number, cut.perChunk,
  );
  return dlogits;
}

function softmax(call: KernelCall): TensorInfo {
  const { inputs: { logits }, attrs: { dim }, backend } = call;
  if (!backend.holds(logits, 'float32') || (dim !== -1 && dim !== logits.shape.length - 1)) return onCpu(Softmax, call);
  const columns = logits.shape[logits.shape.length - 1] ?? 1;
  const rows = util.sizeFromShape(logits.shape) / Math.max(columns, 1);
  const y = backend.allocate(logits.shape);
  const cut = rowChunks(rows, columns);
  backend.run('softmax', cut.chunks, backend.pointer(logits), backend.pointer(y), rows, columns, cut.perChunk);
  return y;
}
