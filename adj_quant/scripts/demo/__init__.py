"""Every stage of the method on a small data set, from ImageNet's weights to a report."""
