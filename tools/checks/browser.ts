/**
 * Browser tests: a page bundled from source trains a tiny GPT in headless Chromium, and must reach the same losses as the
 * same run in Node, with threads (cross-origin isolated) and without, with relaxed and plain SIMD.
 */
import { build } from 'esbuild';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chromium, type Browser } from 'playwright-core';
import type { PageRun } from './browser/page.ts';
import type { RunResult } from './browser/train.ts';
import { command } from './command.ts';
import { failed, merge, passed, skipped, type Outcome } from './outcome.ts';
import { chromiumPath } from './system.ts';

/** One visit to the page: `isolated` sends the headers that allow shared memory. */
type Scenario = { title: string; isolated: boolean; run: PageRun; expectThreads: number };

const STEPS = 20;
const scenarios: readonly Scenario[] = [
  { title: 'a worker with 2 threads', isolated: true, run: { where: 'worker', threads: 2, steps: STEPS }, expectThreads: 2 },
  { title: 'a worker without cross-origin isolation', isolated: false, run: { where: 'worker', threads: 2, steps: STEPS }, expectThreads: 1 },
  { title: 'a worker with plain SIMD', isolated: true, run: { where: 'worker', threads: 2, steps: STEPS, simd: 'plain' }, expectThreads: 2 },
  { title: 'the main thread with 2 threads', isolated: true, run: { where: 'main', threads: 2, steps: STEPS }, expectThreads: 2 },
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
    return merge(outcomes);
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

async function lossesInNode(simd?: 'plain'): Promise<number[]> {
  const run = JSON.stringify({ threads: 2, steps: STEPS, simd });
  const { code, stdout, output } = await command(process.execPath, ['--conditions=@evenkeel/source', join(import.meta.dirname, 'browser/node.ts'), run]);
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
  const html = '<!doctype html><meta charset="utf-8"><title>Evenkeel</title><link rel="icon" href="data:,"><script type="module" src="page.js"></script>';
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

async function visit(browser: Browser, port: number, { title, isolated, run, expectThreads }: Scenario, expected: readonly number[]): Promise<Outcome> {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => void (message.type() === 'error' && complaints.push(message.text())));
  page.on('pageerror', (error) => void complaints.push(error.message));
  page.setDefaultTimeout(60_000);
  try {
    await page.goto(`http://127.0.0.1:${port}/${isolated ? 'isolated' : 'plain'}/`);
    await page.waitForFunction('typeof run === "function"');
    const started = performance.now();
    const result = await page.evaluate<RunResult & { isolated: boolean }>(`run(${JSON.stringify(run)})`);
    process.stdout.write(`  ${title}: ${((performance.now() - started) / STEPS).toFixed(1)} ms per step, loss ${result.losses[0]?.toFixed(4)} → ${result.losses.at(-1)?.toFixed(4)}, ${agreement(result.losses, expected)}\n`);
    const problems = [...complaints, ...problemsOf(result, { isolated, expectThreads, simd: run.simd ?? 'relaxed' }, expected)];
    return problems.length === 0 ? passed() : failed(`browser, ${title}: ${problems.join('; ')}`);
  } catch (error) {
    return failed(`browser, ${title}: ${[error instanceof Error ? error.message : String(error), ...complaints].join('; ')}`);
  } finally {
    await page.close();
  }
}

/** The largest relative difference allowed between a browser's losses and Node's: other machine code may round differently. */
const TOLERANCE = 1e-6;

function worstDifference(losses: readonly number[], expected: readonly number[]): number {
  if (losses.length !== expected.length) return Infinity;
  return Math.max(...losses.map((loss, i) => Math.abs(loss - expected[i]!) / Math.abs(expected[i]!)).map((each) => (Number.isNaN(each) ? Infinity : each)));
}

function agreement(losses: readonly number[], expected: readonly number[]): string {
  const worst = worstDifference(losses, expected);
  return worst === 0 ? 'bit-identical to Node' : `within ${worst.toExponential(1)} of Node`;
}

function problemsOf({ losses, threads, simd, leaked, isolated }: RunResult & { isolated: boolean }, expect: { isolated: boolean; expectThreads: number; simd: string }, expected: readonly number[]): string[] {
  return [
    ...(worstDifference(losses, expected) <= TOLERANCE ? [] : [`losses ${losses} must equal Node's ${expected}`]),
    ...(losses.at(-1)! < losses[0]! * 0.8 ? [] : [`the loss must fall by a fifth, went from ${losses[0]} to ${losses.at(-1)}`]),
    ...(threads === expect.expectThreads ? [] : [`must use ${expect.expectThreads} threads, used ${threads}`]),
    ...(simd === expect.simd ? [] : [`must use ${expect.simd} SIMD, used ${simd}`]),
    ...(isolated === expect.isolated ? [] : [`crossOriginIsolated must be ${expect.isolated}`]),
    ...(leaked === 0 ? [] : [`${leaked} tensors leaked`]),
  ];
}
