-- Run once, on an empty volume, as the owner of the database "optuna".
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_auth;
