/** tuneKernels — times the kernels for what was computed so far on the webgpu device, and says what it found. */
export async function tuneKernels(say: (line: string) => void): Promise<void> {
  const { tune } = await import('@evenkeel/webgpu-kernels');
  const tuned = await tune([], {
    onTuned: ({ class: of, winner, milliseconds }, left) => say(`tuned    ${of}: ${winner}, ${(milliseconds[winner] as number).toFixed(3)} ms${left > 0 ? `; ${left} left` : ''}`),
  });
  if (tuned.length === 0) say('tuned    nothing: all kernels were timed on this adapter before');
}
