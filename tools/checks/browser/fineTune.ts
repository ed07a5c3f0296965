/** A vision transformer from a published checkpoint learns three classes: in a page, from the files that a user picks, and the same in Node. */
import { openSafetensors } from '@evenkeel/checkpoint';
import { captureStep, uniformValues, useDevice, valueAndGrad } from '@evenkeel/core-tensor';
import { decodeImage, imageBatch, normaliseImages, type LabelledImages } from '@evenkeel/data';
import { vitFromFile } from '@evenkeel/models-vit';
import { adamw, applyUpdates } from '@evenkeel/optimizers';
import { wasm } from '@evenkeel/wasm-kernels';
import { webgpu } from '@evenkeel/webgpu-kernels';
import { dispose, memory, tensor1d, tensor4d, type Tensor1D, type Tensor4D } from '@tensorflow/tfjs-core';

export type FineTuneResult = { losses: number[]; leaked: number; captured: string };

const STEPS = 10;
/** Steps after which nothing is made any more that stays. */
const SETTLED = 6;
const CLASSES = 3;
const COUNT = 12;
const SIZE = 8;

/**
 * fineTune — ten steps of AdamW on a batch of drawn images.
 *
 * @param config      the text of `config.json`.
 * @param weights     `model.safetensors`: a path, or a file that was picked.
 * @param asPngFiles  whether the images go through PNG files, which a browser encodes and decodes.
 */
export async function fineTune(device: 'wasm' | 'webgpu', config: string, weights: string | Blob, asPngFiles: boolean): Promise<FineTuneResult> {
  await useDevice(device, [device === 'wasm' ? wasm({ threads: 1 }) : webgpu()]);
  const file = await openSafetensors(weights);
  const { model, params } = await vitFromFile(JSON.parse(config), file, { numClasses: CLASSES, seed: 1 });
  await file.close();
  const optimizer = adamw({ learningRate: 3e-3 });
  const state = optimizer.init(params);
  const step = captureStep((batch: { images: Tensor4D; targets: Tensor1D }) => {
    const { value, grads } = valueAndGrad((p: typeof params) => model.loss(batch, p), params);
    applyUpdates(params, optimizer.update(grads, state, params));
    return value;
  });
  const drawn = drawings();
  const { shape, images } = normaliseImages({ mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] })(imageBatch(asPngFiles ? await throughPng(drawn) : drawn, CLASSES), 0);
  const batch = { images: tensor4d(images, [...shape]), targets: tensor1d(Int32Array.from(drawn.labels), 'int32') };
  const losses: number[] = [];
  let settled = 0;
  for (let i = 0; i < STEPS; i++) {
    const loss = step(batch, {});
    losses.push((await loss.data())[0] as number);
    dispose(loss);
    if (i === SETTLED) settled = memory().numTensors;
  }
  return { losses, leaked: memory().numTensors - settled, captured: step.status().state };
}

/** Stripes that lie, stand, or cross, over noise. */
function drawings(): LabelledImages {
  const labels = Array.from({ length: COUNT }, (_, i) => i % CLASSES);
  const noise = uniformValues(COUNT * SIZE * SIZE * 3, 5, 0, 90);
  const pixels = Uint8Array.from(noise, (value, at) => {
    const [image, row, column] = [Math.floor(at / (SIZE * SIZE * 3)), Math.floor(at / (SIZE * 3)) % SIZE, Math.floor(at / 3) % SIZE];
    const isLit = [row % 2, column % 2, (row + column) % 2][labels[image] as number] === 0;
    return value + (isLit ? 150 : 0);
  });
  return { shape: [COUNT, SIZE, SIZE, 3], images: pixels, labels };
}

/** The same images, each written as a PNG file and decoded again. */
async function throughPng(drawn: LabelledImages): Promise<LabelledImages> {
  const decoded: number[] = [];
  for (let i = 0; i < COUNT; i++) {
    const canvas = new OffscreenCanvas(SIZE, SIZE);
    const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
    const rgb = drawn.images.subarray(i * SIZE * SIZE * 3, (i + 1) * SIZE * SIZE * 3);
    const rgba = Uint8ClampedArray.from({ length: SIZE * SIZE * 4 }, (_, at) => (at % 4 === 3 ? 255 : rgb[Math.floor(at / 4) * 3 + (at % 4)] as number));
    context.putImageData(new ImageData(rgba, SIZE, SIZE), 0, 0);
    const { height, width, pixels } = await decodeImage(await canvas.convertToBlob({ type: 'image/png' }));
    if (height !== SIZE || width !== SIZE) throw new Error(`decodeImage must give ${SIZE} × ${SIZE} pixels, gave ${height} × ${width}`);
    decoded.push(...pixels);
  }
  return { ...drawn, images: Uint8Array.from(decoded) };
}
