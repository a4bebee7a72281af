/* How much memory the process has, in KiB. */
static inline long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%*d %ld", &pages) == 1 && fclose(file) == 0);
    return pages * 4;
}
