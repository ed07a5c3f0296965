// Three loops, one float at a time. C += A·B, n × n, row-major.
export function naive(a: usize, b: usize, c: usize, n: i32, scratch: usize): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum: f32 = 0;
      for (let k = 0; k < n; k++) sum += load<f32>(a + (<usize>(i * n + k) << 2)) * load<f32>(b + (<usize>(k * n + j) << 2));
      const to = c + (<usize>(i * n + j) << 2);
      store<f32>(to, load<f32>(to) + sum);
    }
  }
}
