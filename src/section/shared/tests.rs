//! Floor 4, uses floors 0 to 3. Shared memory while calls fail.
