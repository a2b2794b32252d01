"""Set-up before the services start (`prepare`), and set-up of running services (`grant`). Both are idempotent."""
