import { checkOpGrad, expectClose, randomTensor } from '@evenkeel/testing';
import { BACKEND_NAME } from '@evenkeel/wasm-kernels';
import { conv2d, conv2dTranspose, engine, grads, setBackend, slice, tensor, tidy, type Tensor, type Tensor3D, type Tensor4D } from '@tensorflow/tfjs-core';
import { describe, expect, it } from 'vitest';
import { cpuCalls } from './cpuCalls.ts';
import { describeVariants } from './variants.ts';

type Shape = [number, number, number, number];
const draw = (shape: Shape, seed = 1): Tensor4D => randomTensor(shape, { seed }) as Tensor4D;

/** What `run` gives on tfjs' CPU backend; its inputs are made within. */
async function onCpu(run: () => Tensor[]): Promise<Tensor[]> {
  await setBackend('cpu');
  const results = await Promise.all(run().map(async (each) => [await each.data() as Float32Array, each.shape] as const));
  await setBackend(BACKEND_NAME);
  return results.map(([values, shape]) => tensor(values, shape));
}

async function expectAsOnCpu(run: () => Tensor[], tolerance = { rtol: 1e-5, atol: 3e-5 }): Promise<void> {
  const expected = await onCpu(run);
  for (const [i, result] of tidy(run).entries()) await expectClose(result, expected[i] as Tensor, tolerance);
}

/** Valid convolution of one image in float64. */
function conv64(x: Float64Array, filter: Float64Array, [, height, width, channels]: Shape, [rows, columns, , out]: Shape, stride: number): Float64Array {
  const [h, w] = [Math.floor((height - rows) / stride) + 1, Math.floor((width - columns) / stride) + 1];
  return Float64Array.from({ length: h * w * out }, (_, at) => {
    const [o, right, down] = [at % out, Math.floor(at / out) % w, Math.floor(at / out / w)];
    let sum = 0;
    for (let r = 0; r < rows; r++) for (let k = 0; k < columns; k++) for (let c = 0; c < channels; c++) {
      sum += x[((down * stride + r) * width + right * stride + k) * channels + c]! * filter[((r * columns + k) * channels + c) * out + o]!;
    }
    return sum;
  });
}

describeVariants((get) => {
  describe('conv2d', () => {
    it.each([1, 2])('the gradients of conv2d with stride %d match finite differences', async (stride) => {
      const [xShape, filterShape]: Shape[] = [[1, 6, 7, 3], [3, 2, 3, 4]] as never;
      await checkOpGrad({
        inputs: { x: draw(xShape as Shape), filter: draw(filterShape as Shape, 2) },
        op: ({ x, filter }) => conv2d(x as Tensor4D, filter as Tensor4D, stride, 'valid'),
        oracle64: ({ x, filter }) => conv64(x, filter, xShape as Shape, filterShape as Shape, stride),
      });
    });

    it('surroundings that take several blocks give what one image at a time gives', async () => {
      // 81 images of 121 pixels with 9 · 64 numbers around each, 1,820 pixels to a block: blocks end within images and lines
      const [x, filter, dy] = [draw([81, 11, 11, 64]), draw([3, 3, 64, 5], 2), draw([81, 11, 11, 5], 3)];
      const gradients = (image: Tensor4D, d: Tensor4D) => grads((a: Tensor, b: Tensor) => conv2d(a as Tensor4D, b as Tensor4D, 1, 'same'))([image, filter], d) as [Tensor4D, Tensor4D];
      const [dx, dfilter] = gradients(x, dy);
      const y = conv2d(x, filter, 1, 'same');
      const [values, gradient] = [await y.data(), await dx.data()];
      const sum = new Float64Array(dfilter.size);
      for (let i = 0; i < 81; i++) {
        const [image, d] = [x, dy].map((all) => slice(all, [i, 0, 0, 0], [1, -1, -1, -1])) as [Tensor4D, Tensor4D];
        await expectClose(values.slice(i * 605, (i + 1) * 605) as Float32Array, await conv2d(image, filter, 1, 'same').data() as Float32Array, { rtol: 1e-6, atol: 1e-6 });
        const [one, share] = gradients(image, d);
        await expectClose(gradient.slice(i * 7744, (i + 1) * 7744) as Float32Array, await one.data() as Float32Array, { rtol: 1e-5, atol: 1e-5 });
        (await share.data()).forEach((value, at) => sum[at]! += value);
      }
      await expectClose(dfilter, tensor(Float32Array.from(sum), dfilter.shape), { rtol: 1e-5, atol: 3e-4 });
    });

    it('convolutions and their gradients leave nothing to the CPU backend', () => {
      const [x, filter] = [draw([2, 9, 8, 3]), draw([3, 3, 3, 4], 2)];
      const { names } = cpuCalls(() => tidy(() => grads((a: Tensor, b: Tensor) => conv2d(a as Tensor4D, b as Tensor4D, 2, 'same'))([x, filter], draw([2, 5, 4, 4], 3))));
      expect(names).toEqual([]);
      expect(cpuCalls(() => conv2d(x, filter, 1, 'same', 'NHWC', 2)).names).toEqual([]);
      expect(cpuCalls(() => conv2dTranspose(draw([1, 3, 3, 4]) as Tensor4D, filter, [1, 6, 6, 3], 2, 'same')).names).toEqual([]);
    });

    it('channels first, a single image and transposed convolutions are as on the CPU backend', async () => {
      await expectAsOnCpu(() => [conv2d(draw([2, 3, 6, 5]), draw([2, 2, 3, 4], 2), 1, 'valid', 'NCHW')]);
      await expectAsOnCpu(() => [conv2d(randomTensor([6, 5, 3]) as Tensor3D, draw([2, 2, 3, 4], 2), 2, 'same')]);
      await expectAsOnCpu(() => [conv2dTranspose(draw([2, 3, 4, 4]), draw([3, 3, 3, 4], 2), [2, 6, 8, 3], 2, 'same')]);
    });

    it.each([['x', [0, 4, 4, 3]], ['filter', [3, 3, 3, 0]]] as const)('an empty %s gives empty results and gradients of zeros', async (name, shape) => {
      const shapes = { x: [2, 4, 4, 3] as Shape, filter: [3, 3, 3, 5] as Shape, [name]: shape as unknown as Shape };
      await expectAsOnCpu(() => {
        const inputs = [draw(shapes.x), draw(shapes.filter)];
        return [conv2d(inputs[0] as Tensor4D, inputs[1] as Tensor4D, 1, 'same'), ...grads((a: Tensor, b: Tensor) => conv2d(a as Tensor4D, b as Tensor4D, 1, 'same'))(inputs)];
      });
    });

    it('a filter larger than the image, and a dy of another size, are treated as tfjs does', () => {
      const attrs = { strides: 1, pad: 'valid', dataFormat: 'NHWC', dilations: 1 };
      const [x, filter, dy] = [draw([1, 3, 3, 1]), draw([5, 5, 1, 1]), draw([1, 2, 2, 1])];
      expect(cpuCalls(() => engine().runKernel('Conv2D', { x, filter }, attrs)).names).toEqual(['Conv2D']);
      expect(cpuCalls(() => engine().runKernel('Conv2DBackpropFilter', { x, dy }, { ...attrs, filterShape: [3, 3, 1, 1] })).names).toEqual(['Conv2DBackpropFilter']);
      expect(cpuCalls(() => engine().runKernel('Conv2DBackpropInput', { dy, filter: draw([3, 3, 1, 1]) }, { ...attrs, inputShape: [1, 3, 3, 1] })).names).toEqual(['Conv2DBackpropInput']);
    });

    it('many large images take some megabytes more than their tensors', () => {
      const { heap } = get().runtime;
      const [x, filter] = [draw([4, 96, 96, 16]), draw([3, 3, 16, 16])];
      heap.resetPeak();
      const before = heap.statistics().bytesInUse;
      const [dx, dfilter] = grads((a: Tensor, b: Tensor) => conv2d(a as Tensor4D, b as Tensor4D, 1, 'same'))([x, filter]) as [Tensor, Tensor];
      const tensors = 4 * (4 * x.size + 2 * filter.size); // y, its dy, and x moved to the heap count as well as dx
      expect(heap.statistics().peakBytes - before).toBeLessThan(tensors + 7 * 2 ** 20); // all surroundings at once would take 20 MiB
      expect(dx.shape.concat(dfilter.shape)).toEqual([...x.shape, ...filter.shape]);
    });
  });
}, [{ threads: 1, simd: 'relaxed' }, { threads: 2, simd: 'plain' }]);
