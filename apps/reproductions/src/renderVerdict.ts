export const renderVerdict = 1;
