/* Medians of measurements. */
#ifndef LATHE_MEASURE_STAT_H
#define LATHE_MEASURE_STAT_H

/* Median of n >= 1 values (the mean of the middle two); the order of v changes. */
double stat_median(double *v, int n);
/* Value at share 0..1 of the sorted values, nearest rank; the order of v changes. */
double stat_quantile(double *v, int n, double share);
/* Resident memory of this process in MiB, 0 if unknown. */
double stat_rss_mib(void);
#endif
