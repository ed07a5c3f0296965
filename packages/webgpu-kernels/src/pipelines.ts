import type { GpuProgram } from '@evenkeel/core-tensor';
import type { DeviceWatch } from './deviceWatch.ts';
import { isNode } from './runtime.ts';

/** Pipeline — a compiled program and the layout of its tensors; equal layouts are one object. */
export type Pipeline = { readonly pipeline: GPUComputePipeline; readonly layout: BindLayout };

/** BindLayout — of the tensors and, where the program has some, of the uniforms behind them. */
export type BindLayout = { readonly id: number; readonly layout: GPUBindGroupLayout; readonly hasUniforms: boolean };

/** Pipelines — compiles each program once, known by its text. */
export class Pipelines {
  readonly #device: GPUDevice;
  readonly #watch: DeviceWatch;
  readonly #byProgram = new WeakMap<GpuProgram, Pipeline>();
  readonly #byCode = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, BindLayout>();
  readonly #byPipeline = new WeakMap<GPUComputePipeline, BindLayout>();
  #nextLayout = 0;

  constructor(device: GPUDevice, watch: DeviceWatch) {
    this.#device = device;
    this.#watch = watch;
  }

  get(program: GpuProgram): Pipeline {
    let pipeline = this.#byProgram.get(program) ?? this.#byCode.get(program.code);
    if (pipeline === undefined) this.#byCode.set(program.code, pipeline = this.#compile(program));
    this.#byProgram.set(program, pipeline);
    return pipeline;
  }

  /** layoutOf — of a pipeline of tfjs', whose uniforms always stand behind the tensors. */
  layoutOf(pipeline: GPUComputePipeline): BindLayout {
    let layout = this.#byPipeline.get(pipeline);
    if (layout === undefined) this.#byPipeline.set(pipeline, layout = { id: this.#nextLayout++, layout: pipeline.getBindGroupLayout(0), hasUniforms: true });
    return layout;
  }

  #compile({ name, code, bindings, uniforms }: GpuProgram): Pipeline {
    const layout = this.#layoutOf([...bindings.map(({ access }) => access), ...(uniforms.length > 0 ? ['uniform' as const] : [])]);
    return this.#attributed(name, () => {
      const module = this.#device.createShaderModule({ label: name, code });
      const pipeline = this.#device.createComputePipeline({
        label: name, layout: this.#device.createPipelineLayout({ label: name, bindGroupLayouts: [layout.layout] }), compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout };
    });
  }

  /** In browsers errors arrive later, when nobody knows any more what was running: a scope keeps the name. Node's arrive at once. */
  #attributed<T>(name: string, f: () => T): T {
    if (isNode()) return this.#watch.during(name, f);
    this.#device.pushErrorScope('validation');
    try {
      return f();
    } finally {
      void this.#device.popErrorScope().then((error) => error && this.#watch.fail(error, name), () => {});
    }
  }

  #layoutOf(accesses: readonly ('read' | 'write' | 'uniform')[]): BindLayout {
    const key = accesses.join();
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const entries = accesses.map((access, binding): GPUBindGroupLayoutEntry => (
        { binding, visibility: GPUShaderStage.COMPUTE, buffer: { type: ({ read: 'read-only-storage', write: 'storage', uniform: 'uniform' } as const)[access] } }));
      this.#layouts.set(key, layout = { id: this.#nextLayout++, layout: this.#device.createBindGroupLayout({ label: key, entries }), hasUniforms: accesses.includes('uniform') });
    }
    return layout;
  }
}
