"""Parts of every page: magics, predictions, the connection to the engine, the final clean-up."""
