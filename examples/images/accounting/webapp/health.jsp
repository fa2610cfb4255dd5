<%@ page session="false" %><%@ include file="WEB-INF/parts.jspf" %><%
    javax.jms.Connection broker = broker();
    try (java.sql.Connection books = books(); AutoCloseable closing = broker::close) {
        books.createStatement().executeQuery("SELECT 1");
        out.print("{\"healthy\":true}");
    }
%>
