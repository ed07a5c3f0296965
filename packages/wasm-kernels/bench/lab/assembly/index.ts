export { naive } from './1-naive';
export { tile4x4 } from './2-tile4x4';
export { packed6x8 } from './3-packed6x8';
export { packed6x8unrolled } from './4-packed6x8unrolled';
export { packed4x12 } from './5-packed4x12';
export { packed8x8 } from './6-packed8x8';
