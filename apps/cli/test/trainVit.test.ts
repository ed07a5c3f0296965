import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '@evenkeel/checkpoint';
import { evenkeel, evenkeelJson, metricsOf, scratch } from './support/evenkeel.ts';
import { cifarBytes, colouredImage, imageFolders, pngFile } from './support/images.ts';
import { killAfter } from './support/texts.ts';

const files = scratch();
const data = files.write('images.bin', cifarBytes(60));
const TINY = ['--device', 'wasm', '--depth', '1', '--dim', '16', '--num-heads', '2', '--patch-size', '8', '--batch-size', '6'];
const train = (out: string, ...flags: string[]) => ['train', 'vit', '--data', data, ...TINY, '--steps', '30', '--out', files.at(out), ...flags];

describe('evenkeel train vit', () => {
  let result: Record<string, unknown>;
  beforeAll(async () => {
    result = await evenkeelJson(train('run', '--eval-every', '10', '--learning-rate', '0.01'));
  });

  it('train vit --json says what it measured, and colours are learned', () => {
    expect(result).toMatchObject({ command: 'train vit', device: 'wasm', steps: 30, accuracy: 1, checkpoint: files.at('run'), imagesPerSecond: expect.any(Number) as number });
    expect(result['valLoss']).toBeLessThan(0.7);
  });

  it("train vit leaves a directory in the layout of Hugging Face's ViT, with classes and normalisation", async () => {
    const { tensors } = await readSafetensors(files.at('run/model.safetensors'));
    expect(Object.keys(tensors)).toEqual(expect.arrayContaining(['vit.embeddings.cls_token', 'vit.encoder.layer.0.attention.attention.query.weight', 'classifier.weight']));
    expect(JSON.parse(readFileSync(files.at('run/config.json'), 'utf8'))).toMatchObject({ model_type: 'vit', image_size: 32, patch_size: 8, id2label: { 0: 'airplane', 9: 'truck' } });
    const { image_mean: mean } = JSON.parse(readFileSync(files.at('run/preprocessor_config.json'), 'utf8')) as { image_mean: number[] };
    expect(mean).toHaveLength(3);
    for (const each of mean) expect(each).toBeCloseTo((220 + 40 + 40) / 3 / 255 + 15 / 255, 1);
  });

  it('train vit writes accuracies beside losses, and a report with a confusion matrix and images', () => {
    expect(metricsOf(files.at('run')).filter(({ kind }) => kind === 'eval')).toEqual([10, 20, 30].map((step) =>
      ({ kind: 'eval', step, valLoss: expect.any(Number) as number, values: { accuracy: expect.any(Number) as number } })));
    const report = readFileSync(files.at('run/report.html'), 'utf8');
    expect(report).toContain('Confusion matrix');
    expect(report.match(/<img src="data:image\/png/g)).toHaveLength(6);
    expect(report).toMatch(/title="airplane predicted as airplane: \d+ of \d+"/);
  });

  it('train vit and finetune with --augment deit and no --batch-size take the next multiple of three', async () => {
    const one = ['--data', files.write('more.bin', cifarBytes(60)), '--device', 'wasm', '--augment', 'deit', '--steps', '1'];
    const sizeOf = (out: string): unknown => (JSON.parse(readFileSync(files.at(`${out}/run.json`), 'utf8')) as { settings: { batchSize: number } }).settings.batchSize;
    await evenkeelJson(['train', 'vit', ...one, '--depth', '1', '--dim', '16', '--num-heads', '2', '--patch-size', '16', '--out', files.at('deit')]);
    await evenkeelJson(['finetune', '--checkpoint', files.at('deit'), '--task', 'image-classification', ...one, '--out', files.at('tuned-deit')]);
    expect([sizeOf('deit'), sizeOf('tuned-deit')]).toEqual([66, 33]);
  });

  it.each([
    ['plain', []],
    ['DeiT with an average', ['--augment', 'deit', '--ema', '0.9', '--layer-scale', '0.1', '--dropout', '0.1']],
    ['with techniques', ['--placement', 'peri', '--qk-norm', '--sigma-reparam', '--monitor', '5', '--optimizer', 'lion', '--ema']],
  ])('train vit --resume after kill -9 goes on bit for bit: %s', async (name, flags) => {
    const args = (out: string) => train(out, '--steps', '60', '--checkpoint-every', '5', '--eval-every', '20', ...flags);
    const [whole, killed] = [`${name}-whole`, `${name}-killed`];
    const expected = await evenkeelJson(args(whole));
    expect(await killAfter(args(killed), files.at(killed), 13)).toBe('SIGKILL');
    const again = await evenkeelJson(['train', 'vit', '--out', files.at(killed), '--resume']);
    expect(metricsOf(files.at(killed))).toEqual(metricsOf(files.at(whole)));
    expect(readFileSync(files.at(`${killed}/model.safetensors`)).equals(readFileSync(files.at(`${whole}/model.safetensors`)))).toBe(true);
    for (const field of ['trainLoss', 'valLoss', 'accuracy']) expect(again[field]).toBe(expected[field]);
  });

  it('train vit of a folder with train and val names the classes after their folders', async () => {
    imageFolders(files.at('folder/train'), ['blue', 'green', 'red']);
    imageFolders(files.at('folder/val'), ['blue', 'green', 'red'], { count: 2 });
    const { accuracy } = await evenkeelJson(['train', 'vit', '--data', files.at('folder'), ...TINY, '--patch-size', '4', '--steps', '3', '--out', files.at('of-folder')]);
    expect(accuracy).toBeTypeOf('number');
    expect(JSON.parse(readFileSync(files.at('of-folder/config.json'), 'utf8'))).toMatchObject({ id2label: { 0: 'blue', 2: 'red' } });
    expect(readFileSync(files.at('of-folder/report.html'), 'utf8')).toContain('6 validation examples');
  });
});

describe('train vit with images it cannot learn from', () => {
  const refused = async (path: string, message: RegExp, ...flags: string[]): Promise<void> => {
    const { code, stderr } = await evenkeel(['train', 'vit', '--data', path, ...TINY, '--steps', '2', '--out', files.at('refused'), ...flags]);
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toMatch(message);
    expect([1, 2]).toContain(code);
    expect(existsSync(files.at('refused'))).toBe(false);
  };

  it('train vit names an image that cannot be read, and one of another size', async () => {
    const broken = imageFolders(files.at('broken'), ['a', 'b']);
    writeFileSync(`${broken}/b/3.png`, 'no image');
    await refused(broken, /broken\/b\/3\.png must be an image that can be decoded/);
    const mixed = imageFolders(files.at('mixed'), ['a', 'b']);
    writeFileSync(`${mixed}/b/1.png`, pngFile(colouredImage(1, 1, 12), 12));
    await refused(mixed, /mixed\/b\/1\.png must have 8 × 8 pixels like .*mixed\/a\/0\.png, got 12 × 12\./, '--patch-size', '4');
    const scaled = await evenkeel(['train', 'vit', '--data', mixed, ...TINY, '--image-size', '8', '--steps', '1', '--out', files.at('scaled')]);
    expect(scaled.stderr).toBe('');
  });

  it('train vit names the file and the row of a label that is no class', async () => {
    await refused(files.write('stray.bin', cifarBytes(4, (i) => (i === 2 ? 12 : 0))), /stray\.bin must have labels of at most 9, got 12 for image 2/);
    const val = imageFolders(files.at('other'), ['a', 'c']);
    await refused(imageFolders(files.at('ab'), ['a', 'b']), /--val-data must have the classes of --data, a, b, got c in .*other/, '--val-data', val, '--patch-size', '4');
  });

  it('train vit says what --data may be, and which sizes go together', async () => {
    await refused(files.write('notes.txt', 'text'), /notes\.txt must be a folder with a subfolder of images per class, CIFAR-10's \.bin, or an IDX file/);
    await refused(files.at('nowhere'), /nowhere must be .*no such file/);
    await refused(data, /--patch-size must divide the size of the images, got 5 and 32/, '--patch-size', '5');
    await refused(data, /--batch-size must be divisible by --repeated-augmentation, got 4 and 3; it is 3 with --augment deit/, '--augment', 'deit', '--batch-size', '4');
    await refused(data, /--epochs must be left out with --steps/, '--epochs', '2');
  });

  it('train vit --resume refuses other images than those it was begun with', async () => {
    const moved = files.write('moved.bin', cifarBytes(30));
    await evenkeelJson(['train', 'vit', '--data', moved, ...TINY, '--steps', '2', '--out', files.at('moved')]);
    writeFileSync(moved, cifarBytes(33));
    const { code, stderr } = await evenkeel(['train', 'vit', '--out', files.at('moved'), '--resume']);
    expect(code).toBe(2);
    expect(stderr).toContain('--resume must find the images with which the run was begun, got others in ');
    const wrong = await evenkeel(['train', 'gpt', '--out', files.at('moved'), '--resume']);
    expect(wrong.stderr).toContain('--resume must find a run of train gpt in --out, got ');
  });
});
