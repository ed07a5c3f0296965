import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';

/** StockUniform — a uniform of a tfjs program: one to six numbers. */
export type StockUniform = { readonly type: string; readonly data: readonly number[] };

/** stockUniforms — the uniforms of a tfjs program as bytes, in the order in which tfjs declares them in its shaders. */
export function stockUniforms(program: WebGPUProgram, tensors: readonly TensorInfo[], output: TensorInfo, own: readonly StockUniform[] = []): Uint8Array {
  const shapes = (program.pixelsOpType ?? null) === null
    ? [
      { type: 'float32', data: [NaN] }, { type: 'float32', data: [Infinity] },
      ...[...tensors, output].flatMap(({ shape }) => [{ type: 'int32', data: shape }, { type: 'int32', data: util.computeStrides(shape) }]),
    ]
    : [{ type: 'int32', data: util.computeStrides(output.shape) }];
  const size = program.size === true ? [{ type: 'int32', data: [util.sizeFromShape(program.outputShape) / (program.outputComponent ?? 1)] }] : [];
  return packed([...shapes, ...size, ...own].map(({ type, data }) => ({ type, data: data.length === 0 ? [1] : data })));
}

/** WGSL's layout: vec2 on 8 bytes; vec3, vec4 and tfjs' structs of five and six on 16. */
function packed(uniforms: readonly StockUniform[]): Uint8Array {
  let end = 0;
  let widest = 4;
  let afterStruct = false;
  const placed = uniforms.map(({ type, data }) => {
    const alignment = data.length > 2 || afterStruct ? 16 : 4 * data.length;
    widest = Math.max(widest, alignment);
    const offset = Math.ceil(end / alignment) * alignment;
    end = offset + 4 * data.length;
    afterStruct = data.length > 4;
    return { type, data, offset };
  });
  const bytes = new ArrayBuffer(Math.ceil(end / widest) * widest);
  for (const { type, data, offset } of placed) {
    const Words = type === 'int32' ? Int32Array : type === 'uint32' ? Uint32Array : Float32Array;
    new Words(bytes, offset, data.length).set(data);
  }
  return new Uint8Array(bytes);
}

/** programName — `MatMulPackedProgram`: tfjs names a program by its class; one written as a plain object has its key only. */
export function programName(program: WebGPUProgram): string {
  const { name } = program.constructor;
  return name === 'Object' ? program.shaderKey : name;
}
