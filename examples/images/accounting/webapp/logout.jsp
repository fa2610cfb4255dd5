<%-- POST: the session ends. Tomcat leaves the cookie to the client, so the cookie is deleted here. --%><%@ page
session="false" %><%@ include file="WEB-INF/parts.jspf" %><%
    if ("POST".equals(request.getMethod())) {
        HttpSession mine = request.getSession(false);
        if (mine != null) mine.invalidate();
        Cookie deleted = new Cookie("JSESSIONID", "");
        deleted.setPath("/");
        deleted.setMaxAge(0);
        response.addCookie(deleted);
    }
    out.print("{\"user\":null}");
%>
