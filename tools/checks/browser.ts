/**
 * Browser tests: a page bundled from source trains a tiny GPT in headless Chromium, and must reach the same losses as the same run in
 * Node: on WASM with threads (cross-origin isolated) and without, with relaxed and plain SIMD; and on WebGPU, where the page also runs
 * the conformance suite of the kernels, fine-tunes a vision transformer from files that are picked, and remembers what it tuned.
 */
import { build } from 'esbuild';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chromium, type Browser, type Page } from 'playwright-core';
import type { FineTuneResult } from './browser/fineTune.ts';
import type { PageRun } from './browser/page.ts';
import type { RunResult } from './browser/train.ts';
import type { TuningVisit } from './browser/tuning.ts';
import type { WebglRun } from './browser/webgl.ts';
import { command } from './command.ts';
import { conformanceOutcome } from './conformance/outcome.ts';
import type { ConformanceRun } from './conformance/run.ts';
import { failed, fromProblems, merge, passed, skipped, type Outcome } from './outcome.ts';
import { chromiumPath } from './system.ts';

/** One visit to the page: `isolated` sends the headers that allow shared memory. */
type Scenario = { title: string; isolated: boolean; run: PageRun; expectThreads: number; tolerance: number };

const STEPS = 20;

/** The largest relative difference allowed between a browser's losses and Node's on WASM: other machine code may round differently. */
const TOLERANCE = 1e-6;
/** On a GPU sums are taken in another order, and the optimiser carries that along. */
const TOLERANCE_GPU = 1e-3;

const onWasm = { device: 'wasm', threads: 2, steps: STEPS } as const;
const scenarios: readonly Scenario[] = [
  { title: 'a worker with 2 threads', isolated: true, run: { ...onWasm, where: 'worker' }, expectThreads: 2, tolerance: TOLERANCE },
  { title: 'a worker without cross-origin isolation', isolated: false, run: { ...onWasm, where: 'worker' }, expectThreads: 1, tolerance: TOLERANCE },
  { title: 'a worker with plain SIMD', isolated: true, run: { ...onWasm, where: 'worker', simd: 'plain' }, expectThreads: 2, tolerance: TOLERANCE },
  { title: 'the main thread with 2 threads', isolated: true, run: { ...onWasm, where: 'main' }, expectThreads: 2, tolerance: TOLERANCE },
  { title: 'WebGPU in a worker', isolated: false, run: { device: 'webgpu', where: 'worker', threads: 0, steps: STEPS }, expectThreads: 0, tolerance: TOLERANCE_GPU },
];

/** browserTests — one test per scenario. */
export async function browserTests(): Promise<Outcome> {
  const executablePath = chromiumPath();
  if (executablePath === undefined) return skipped('browser: no Chromium here');
  const [relaxed, plain, files] = await Promise.all([lossesInNode(), lossesInNode('plain'), bundlePage()]);
  const server = await serve(files);
  const browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
  try {
    const outcomes: Outcome[] = [];
    for (const scenario of scenarios) {
      const expected = scenario.run.simd === 'plain' ? plain : relaxed;
      outcomes.push(await visit(browser, (server.address() as AddressInfo).port, scenario, expected));
    }
    const { port } = server.address() as AddressInfo;
    outcomes.push(await conform(browser, port), await fineTunePicked(browser, port), await hearErrors(browser, port), await refuseSync(browser, port), await rememberTuning(browser, port), await attendOnWebgl(browser, port));
    return merge([...outcomes, await sayWhyNot(executablePath, port)]);
  } finally {
    await browser.close();
    server.close();
  }
}

/** No sandbox (CI runs as root), software WebGPU allowed, and nothing that would call home. */
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--enable-unsafe-webgpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

const lossesInNode = (simd?: 'plain'): Promise<number[]> => runInNode(JSON.stringify({ device: 'wasm', threads: 2, steps: STEPS, simd }));

/** The losses of a run, or of fine-tuning the checkpoint in a directory. */
async function runInNode(what: string): Promise<number[]> {
  const { code, stdout, output } = await command(process.execPath, ['--conditions=@evenkeel/source', join(import.meta.dirname, 'browser/node.ts'), what]);
  if (code !== 0) throw new Error(`the run in Node ended with ${code}\n${output}`);
  return (JSON.parse(stdout) as RunResult).losses;
}

/** The page and its worker, bundled from source as an application's bundler would. */
async function bundlePage(): Promise<Map<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: ['page', 'worker'].map((name) => join(import.meta.dirname, `browser/${name}.ts`)),
    bundle: true, format: 'esm', target: 'es2022', platform: 'browser', write: false, outdir: '/', sourcemap: 'inline', logLevel: 'silent',
    conditions: ['@evenkeel/source', 'module'],
  });
  const html = '<!doctype html><meta charset="utf-8"><title>Evenkeel</title><link rel="icon" href="data:,"><input type="file" id="checkpoint" multiple><script type="module" src="page.js"></script>';
  return new Map([['index.html', new TextEncoder().encode(html)], ...outputFiles.map(({ path, contents }) => [path.replace(/^.*\//, ''), contents] as const)]);
}

/** Serves the same files under /isolated/ and /plain/. */
function serve(files: Map<string, Uint8Array>): Promise<Server> {
  const server = createServer((request, response) => {
    const [, folder, name] = /^\/(isolated|plain)\/(.*)$/.exec(request.url ?? '') ?? [];
    const body = files.get(name === '' ? 'index.html' : name ?? '');
    if (body === undefined) return void response.writeHead(404).end();
    const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };
    response.writeHead(200, { 'Content-Type': name!.endsWith('.js') ? 'text/javascript' : 'text/html', ...(folder === 'isolated' ? isolation : {}) }).end(body);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function visit(browser: Browser, port: number, { title, isolated, run, expectThreads, tolerance }: Scenario, expected: readonly number[]): Promise<Outcome> {
  return onPage(browser, `http://127.0.0.1:${port}/${isolated ? 'isolated' : 'plain'}/`, title, async (page, complaints) => {
    const started = performance.now();
    const result = await page.evaluate<RunResult & { isolated: boolean }>(`run(${JSON.stringify(run)})`);
    process.stdout.write(`  ${title}: ${((performance.now() - started) / STEPS).toFixed(1)} ms per step, loss ${result.losses[0]?.toFixed(4)} → ${result.losses.at(-1)?.toFixed(4)}, ${agreement(result.losses, expected)}\n`);
    const simd = run.device === 'webgpu' ? 'none' : run.simd ?? 'relaxed';
    const problems = [...complaints, ...problemsOf(result, { isolated, expectThreads, simd, tolerance }, expected)];
    return problems.length === 0 ? passed() : failed(`browser, ${title}: ${problems.join('; ')}`);
  });
}

/** A Hugging Face ViT, its head replaced, learns on WebGPU what it learns in Node on WASM. */
function fineTunePicked(browser: Browser, port: number): Promise<Outcome> {
  const title = 'a vision transformer fine-tuned on WebGPU from picked files';
  const checkpoint = join(import.meta.dirname, '../../packages/models-vit/test/golden/vit-hf');
  return onPage(browser, `http://127.0.0.1:${port}/plain/`, title, async (page, complaints) => {
    const expected = await runInNode(checkpoint);
    await page.setInputFiles('#checkpoint', ['config.json', 'model.safetensors'].map((name) => join(checkpoint, name)));
    const { losses, leaked, captured } = await page.evaluate<FineTuneResult>('fineTunePicked()');
    process.stdout.write(`  ${title}: loss ${losses[0]?.toFixed(4)} → ${losses.at(-1)?.toFixed(4)}, ${agreement(losses, expected)}\n`);
    const problems = [...complaints, ...problemsOfLosses({ losses, leaked }, TOLERANCE_GPU, expected), ...(captured === 'captured' ? [] : [`the step must be captured, is ${captured}`])];
    return problems.length === 0 ? passed() : failed(`browser, ${title}: ${problems.join('; ')}`);
  });
}

/** A shader that does not compile must be an error with its name; the browser's own complaints on the console are meant here. */
function hearErrors(browser: Browser, port: number): Promise<Outcome> {
  const title = 'a shader that does not compile';
  return onPage(browser, `http://127.0.0.1:${port}/plain/`, title, async (page) => {
    const message = await page.evaluate<string>('brokenShader()');
    return message.includes('brokenOnPurpose') ? passed() : failed(`browser, ${title}: its name must be in the error, got: ${message}`);
  });
}

/** A synchronous reading, which a software adapter would answer with zeros, must be refused, and the device go on working. */
function refuseSync(browser: Browser, port: number): Promise<Outcome> {
  const title = 'a synchronous reading';
  return onPage(browser, `http://127.0.0.1:${port}/plain/`, title, async (page, complaints) => {
    const [atOnce, awaited] = await page.evaluate<[string, string]>('readAtOnce()');
    return fromProblems(`browser, ${title}`, [
      ...complaints,
      ...(atOnce.includes('await tensor.data()') ? [] : [`it must be refused, got: ${atOnce}`]),
      ...(awaited === '2,3,4' ? [] : [`the values must be 2,3,4 when they are awaited, got ${awaited}`]),
    ]);
  });
}

/** Where there is no WebGPU: in a browser that offers none, and on a page that is not secure. */
async function sayWhyNot(executablePath: string, port: number): Promise<Outcome> {
  const browser = await chromium.launch({ executablePath, headless: true, args: [...FLAGS.filter((flag) => flag !== '--enable-unsafe-webgpu'), '--host-resolver-rules=MAP evenkeel.test 127.0.0.1'] });
  const told = (host: string, expected: string): Promise<Outcome> => onPage(browser, `http://${host}:${port}/plain/`, `no WebGPU on ${host}`, async (page) => {
    const message = await page.evaluate<string>('whyNot()');
    return fromProblems(`browser, no WebGPU on ${host}`, message.includes(expected) ? [] : [`it must be said that ${expected}, got: ${message}`]);
  });
  try {
    return merge([await told('127.0.0.1', 'the browser has no adapter to offer'), await told('evenkeel.test', 'WebGPU needs a secure page: serve it over https or from localhost')]);
  } finally {
    await browser.close();
  }
}

/** The second visit knows what the first one timed. */
function rememberTuning(browser: Browser, port: number): Promise<Outcome> {
  const title = 'tuning that a later visit remembers';
  return onPage(browser, `http://127.0.0.1:${port}/plain/`, title, async (page, complaints) => {
    const visit = (): Promise<TuningVisit> => page.evaluate<TuningVisit>('tuneProduct()');
    const first = await visit();
    await page.reload();
    await page.waitForFunction('typeof run === "function"');
    const second = await visit();
    const problems = [
      ...complaints,
      ...(first.timed.length === 1 && first.timed[0]!.ways > 1 ? [] : [`the first visit must time one class by several ways, timed ${JSON.stringify(first.timed)}`]),
      ...(second.timed.length === 0 ? [] : [`the second visit must time nothing, timed ${JSON.stringify(second.timed)}`]),
      ...[first, second].flatMap(({ product }) => (String(product) === '19,22,43,50' ? [] : [`the product must be 19, 22, 43, 50, is ${product}`])),
    ];
    return fromProblems(`browser, ${title}`, problems);
  });
}

function attendOnWebgl(browser: Browser, port: number): Promise<Outcome> {
  const title = "attention on tfjs' own WebGL backend";
  return onPage(browser, `http://127.0.0.1:${port}/plain/`, title, async (page, complaints) => {
    const { precision, worst, leaked } = await page.evaluate<WebglRun>('attentionOnWebgl()');
    process.stdout.write(`  ${title}: ${worst.length} golden cases in float${precision}, the largest error is ${Math.max(...worst.map(({ share }) => share)).toFixed(2)} of what is allowed\n`);
    return fromProblems(`browser, ${title}`, [
      ...complaints,
      ...(worst.length > 0 ? [] : ['there must be cases, got none']),
      ...(leaked === 0 ? [] : [`${leaked} tensors leaked`]),
      ...worst.flatMap(({ name, share }) => (share <= 1 ? [] : [`${name}: the error must be as small as is allowed, is ${share.toFixed(2)} times that`])),
    ]);
  });
}

function conform(browser: Browser, port: number): Promise<Outcome> {
  const title = 'WebGPU conformance';
  return onPage(browser, `http://127.0.0.1:${port}/plain/`, title, async (page, complaints) => {
    const run = await page.evaluate<ConformanceRun>('conform()');
    return merge([conformanceOutcome(`browser, ${title}`, run), fromProblems(`browser, ${title}`, complaints)]);
  });
}

/** Loads the page in a tab of its own and does `work` there; an error is a failure, with all that the page complained about. */
async function onPage(browser: Browser, address: string, title: string, work: (page: Page, complaints: string[]) => Promise<Outcome>): Promise<Outcome> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())));
  page.on('pageerror', (error) => void complaints.push(error.message));
  page.setDefaultTimeout(60_000);
  try {
    await page.goto(address);
    await page.waitForFunction('typeof run === "function"');
    return await work(page, complaints);
  } catch (error) {
    return failed(`browser, ${title}: ${[error instanceof Error ? error.message : String(error), ...complaints].join('; ')}`);
  } finally {
    await page.close();
  }
}

function worstDifference(losses: readonly number[], expected: readonly number[]): number {
  if (losses.length !== expected.length) return Infinity;
  return Math.max(...losses.map((loss, i) => Math.abs(loss - expected[i]!) / Math.abs(expected[i]!)).map((each) => (Number.isNaN(each) ? Infinity : each)));
}

function agreement(losses: readonly number[], expected: readonly number[]): string {
  const worst = worstDifference(losses, expected);
  return worst === 0 ? 'bit-identical to Node' : `within ${worst.toExponential(1)} of Node`;
}

function problemsOfLosses({ losses, leaked }: Pick<RunResult, 'losses' | 'leaked'>, tolerance: number, expected: readonly number[]): string[] {
  return [
    ...(worstDifference(losses, expected) <= tolerance ? [] : [`losses ${losses} must equal Node's ${expected}`]),
    ...(losses.at(-1)! < losses[0]! * 0.8 ? [] : [`the loss must fall by a fifth, went from ${losses[0]} to ${losses.at(-1)}`]),
    ...(leaked === 0 ? [] : [`${leaked} tensors leaked`]),
  ];
}

function problemsOf({ losses, threads, simd, leaked, isolated }: RunResult & { isolated: boolean }, expect: { isolated: boolean; expectThreads: number; simd: string; tolerance: number }, expected: readonly number[]): string[] {
  return [
    ...problemsOfLosses({ losses, leaked }, expect.tolerance, expected),
    ...(threads === expect.expectThreads ? [] : [`must use ${expect.expectThreads} threads, used ${threads}`]),
    ...(simd === expect.simd ? [] : [`must use ${expect.simd} SIMD, used ${simd}`]),
    ...(isolated === expect.isolated ? [] : [`crossOriginIsolated must be ${expect.isolated}`]),
  ];
}
