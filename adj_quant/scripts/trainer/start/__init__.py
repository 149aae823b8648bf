"""What a run starts from: ranges, first bit-widths, rounded kernels, measured on images."""
