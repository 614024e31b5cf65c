"""Run folder on disk: ledger, recorder, mirror and Optuna storage."""
