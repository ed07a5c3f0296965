import { tsupConfig } from '@evenkeel/config/tsup';

export default tsupConfig();
