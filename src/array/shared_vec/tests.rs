//! Floor 4, uses floors 0 to 3. System calls that are refused while an array grows.
