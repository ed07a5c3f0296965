import { fitMassiveActivationCurve } from '@evenkeel/diagnostics';
const STEPS = Array.from({ length: 37 }, (_, i) => (i * 1000) / 36);
console.log(fitMassiveActivationCurve(STEPS.map((x) => ({ x, y: 2 + 5 * Math.exp(-x / 200) }))));
console.log(fitMassiveActivationCurve(STEPS.map((x) => ({ x, y: 4 }))));
