/** The part of jstat 1.9 that is used here; the package has no types of its own. */
declare module 'jstat' {
  const jstat: {
    chisquare: {
      /** P(X <= x) for a chi-square distribution with `df` degrees of freedom. */
      cdf(x: number, df: number): number;
    };
  };
  export default jstat;
}
