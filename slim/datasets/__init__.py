"""Sets of labelled images as TFRecords: what they are, how they are made and checked."""
