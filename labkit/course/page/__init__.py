"""What every page uses: magics, predictions, the way to the engine, what a page cleans up."""
