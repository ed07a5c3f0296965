// Arguments of a job are f64 slots, so that the host writes pointers, integers and floats the same way.

// @ts-ignore: decorator
@inline
export function pointerArg(args: usize, index: i32): usize {
  return <usize>(<u32>load<f64>(args + (<usize>index << 3)));
}

// @ts-ignore: decorator
@inline
export function intArg(args: usize, index: i32): i32 {
  return <i32>load<f64>(args + (<usize>index << 3));
}

/** setIntArg, setPointerArg — for copies of arguments. */
// @ts-ignore: decorator
@inline
export function setIntArg(args: usize, index: i32, value: i32): void {
  store<f64>(args + (<usize>index << 3), <f64>value);
}

// @ts-ignore: decorator
@inline
export function setPointerArg(args: usize, index: i32, value: usize): void {
  store<f64>(args + (<usize>index << 3), <f64>(<u32>value));
}

// @ts-ignore: decorator
@inline
export function floatArg(args: usize, index: i32): f32 {
  return <f32>load<f64>(args + (<usize>index << 3));
}
