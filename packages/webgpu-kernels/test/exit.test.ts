import { forEachBackend } from '@evenkeel/testing';
import { execFile } from 'node:child_process';
import { expect, it } from 'vitest';

/** Runs a program that has made `x` and `y` on the GPU, in a process of its own; it never calls process.exit. */
function runProgram(rest: string): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const program = `
    import { useDevice } from '@evenkeel/core-tensor';
    import { webgpu } from '@evenkeel/webgpu-kernels';
    import { matMul, tensor2d } from '@tensorflow/tfjs-core';
    await useDevice('webgpu', [webgpu()]);
    const x = tensor2d([[1, 2], [3, 4]]);
    const y = matMul(x, x);
    ${rest}`;
  const command = ['--conditions=@evenkeel/source', '--input-type=module', '--eval', program];
  return new Promise((resolve) => {
    execFile(process.execPath, command, { cwd: `${import.meta.dirname}/..`, timeout: 50_000 },
      (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code ?? error.signal ?? 'killed', stdout, stderr }));
  });
}

forEachBackend(['evenkeel-webgpu'], () => {
  it('a program that used webgpu() ends by itself, with tensors alive and work under way', async () => {
    const { code, stdout } = await runProgram('process.stdout.write(String(await y.data())); void matMul(y, y).data();');
    expect(stdout).toBe('7,10,15,22');
    expect(code).toBe(0);
  });

  it('a program that throws while webgpu() is open fails with its own error', async () => {
    const { code, stderr } = await runProgram("throw new Error('mine');");
    expect(code).toBe(1);
    expect(stderr).toContain('Error: mine');
  });
});
