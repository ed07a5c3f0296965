/**
 * Runs before every test file: tells `@evenkeel/testing` how to make the backends, and makes tfjs' own `cpu` the first.
 * A backend of ours is made only when a test file asks for it, so a file that needs none pays for none.
 */
import { env, setBackend } from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { provideBackend } from '@evenkeel/testing';
import { existsSync } from 'node:fs';

type Provider = { probe(): Promise<{ available: boolean; reason: string }>; create(): Promise<void> };

/** Registers a device of ours with tfjs, or says why it cannot be had here. */
async function create(provider: Provider): Promise<string | undefined> {
  const { available, reason } = await provider.probe();
  if (!available) return reason;
  await provider.create();
  return undefined;
}

provideBackend('cpu', async () => {
  await import('@evenkeel/core-tensor'); // gradients
  return undefined;
});

provideBackend('evenkeel-wasm', async () => {
  const { wasm } = await import('@evenkeel/wasm-kernels');
  return create(wasm());
});

provideBackend('evenkeel-webgpu', async () => {
  const lavapipe = ['/usr/share/vulkan/icd.d/lvp_icd.json', '/usr/share/vulkan/icd.d/lvp_icd.x86_64.json'].find(existsSync);
  if (lavapipe !== undefined) process.env['VK_DRIVER_FILES'] = process.env['VK_ICD_FILENAMES'] = lavapipe;
  const { webgpu } = await import('@evenkeel/webgpu-kernels');
  const reason = await create(webgpu());
  if (reason === undefined) env().set('WEBGPU_CPU_FORWARD', false); // small tensors too must reach the WGSL under test
  return reason;
});

env().set('IS_TEST', true); // no banner about tfjs-node, and tfjs checks every kernel call for buffers it forgot
await setBackend('cpu');
