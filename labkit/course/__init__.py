"""What the chapters use: experiments, figures, widgets."""
